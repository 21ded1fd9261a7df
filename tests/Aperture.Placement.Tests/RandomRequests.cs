using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Placement.Tests;

/// <summary>The boards that requests are made for.</summary>
public enum Board
{
    Q35,
    Virt,
}

/// <summary>Requests made from a seed: bridges nested up to three deep, up to ten BARs, boards of several kinds.</summary>
internal sealed class RandomRequests(int seed, Board board)
{
    private readonly Random _random = new(seed);
    private int _bars = 10;
    private int _names;

    public static PlacementRequest Make(int seed, Board board) => new RandomRequests(seed, board).Make();

    public static PlatformLimits Platform(Board board, ulong ramSize, int bits) =>
        board == Board.Q35 ? PlatformLimits.Q35(ramSize, bits) : PlatformLimits.Virt(ramSize, bits);

    /// <summary>Pins each unpinned BAR of a solved request at its place with the given chance, or near it.</summary>
    public static PlacementRequest Pin(PlacementRequest request, PlacementMap map, int seed, double chance, double astray)
    {
        Random random = new(seed);
        List<FunctionDemand> Functions(IReadOnlyList<FunctionDemand> functions) =>
        [
            .. functions.Select(function => function with
            {
                Bars = [.. function.Bars.Select(
                    bar => random.NextDouble() >= chance ? bar : bar with { Pin = Near(random, map.At(function.Name, bar.Index), bar.Size, astray) })],
                Bridge = function.Bridge is { } bridge ? bridge with { Functions = Functions(bridge.Functions) } : null,
            }),
        ];
        return request with { HostBridges = [.. request.HostBridges.Select(host => host with { Functions = Functions(host.Functions) })] };
    }

    /// <summary>The same request with every list of siblings in another order.</summary>
    public static PlacementRequest Shuffle(PlacementRequest request, int seed)
    {
        Random random = new(seed);
        List<FunctionDemand> Functions(IReadOnlyList<FunctionDemand> functions)
        {
            FunctionDemand[] shuffled =
            [
                .. functions.Select(function => function with
                {
                    Bars = [.. function.Bars.Reverse()],
                    Bridge = function.Bridge is { } bridge ? bridge with { Functions = Functions(bridge.Functions) } : null,
                }),
            ];
            random.Shuffle(shuffled);
            return [.. shuffled];
        }

        return request with { HostBridges = [.. request.HostBridges.Select(host => host with { Functions = Functions(host.Functions) })] };
    }

    private static GuestAddress Near(Random random, ulong address, ulong size, double astray)
    {
        if (random.NextDouble() >= astray)
        {
            return new GuestAddress(address);
        }

        ulong step = size << random.Next(0, 4);
        return new GuestAddress(random.Next(4) switch { 0 => address - step, 1 => address + size / 2, _ => address + step });
    }

    private PlacementRequest Make()
    {
        ulong[] sizes = [512 * Build.M, 2 * Build.G, 3 * Build.G, 4 * Build.G, 60 * Build.G];
        PlatformLimits platform = Platform(board, sizes[_random.Next(sizes.Length)], _random.Next(37, 50));
        platform = _random.Next(5) switch
        {
            0 => platform with { Ecam = null },
            1 => platform with { Ecam = new EcamDemand(256 * Build.M, null) },
            2 => platform with { Mmio32Window = Build.Range(0xC000_0000, 512 * Build.M) },
            3 => platform with
            {
                Mmio64Window = Build.Range(64 * Build.G, 32 * Build.G),
                Reserved =
                [.. platform.Reserved, new(Build.Range(80 * Build.G, Build.M), "a reserved page")]
            },
            _ => platform,
        };
        return Build.RequestFor(platform, [.. Functions(0)]);
    }

    private List<FunctionDemand> Functions(int depth)
    {
        List<FunctionDemand> functions = [];
        int count = _random.Next(1, depth == 0 ? 6 : 4);
        for (int device = 0; device < count; device++)
        {
            string name = $"f{_names++}";
            bool bridge = depth < 3 && _random.Next(2) == 0;
            functions.Add(new FunctionDemand(name, (byte)(device << 3), Bars(bridge ? 2 : 6))
            {
                Bridge = bridge ? new BridgeDemand(Functions(depth + 1)) : null,
            });
        }

        return functions;
    }

    private List<BarDemand> Bars(int registers)
    {
        List<BarDemand> bars = [];
        for (int index = 0; index < registers && _bars > 0 && _random.Next(3) != 0; index++, _bars--)
        {
            BarKind kind = (BarKind)_random.Next((int)BarKind.Rom);
            if (kind.Is64Bit() && index + 1 >= registers)
            {
                continue;
            }

            bars.Add(new BarDemand(index, kind, kind switch
            {
                BarKind.Io => 1UL << _random.Next(2, 10),
                BarKind.Memory64Prefetchable => 1UL << _random.Next(12, 34),
                _ => 1UL << _random.Next(4, 28),
            }));
            index += kind.Is64Bit() ? 1 : 0;
        }

        if (_bars > 0 && _random.Next(4) == 0)
        {
            _bars--;
            bars.Add(new BarDemand(BarKinds.RomIndex, BarKind.Rom, 1UL << _random.Next(11, 18)));
        }

        return bars;
    }
}
