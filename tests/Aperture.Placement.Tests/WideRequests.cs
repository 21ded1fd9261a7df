using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Placement.Tests;

/// <summary>
/// Requests made from a seed with everything that one can say: several host bridges and segments, VFs, resizable BARs, reserves, reserved ranges of every kind.
/// </summary>
internal sealed class WideRequests(int seed, Board board)
{
    private readonly Random _random = new(seed);
    private int _names;

    public static PlacementRequest Make(int seed, Board board) => new WideRequests(seed, board).Make();

    /// <summary>Pins bridges of a solved request at their own windows and bus numbers with the given chance.</summary>
    public static PlacementRequest PinBridges(PlacementRequest request, PlacementMap map, int seed, double chance)
    {
        Random random = new(seed);
        bool Now() => random.NextDouble() < chance;
        List<FunctionDemand> Functions(IReadOnlyList<FunctionDemand> functions) =>
        [
            .. functions.Select(function => function.Bridge is not { } bridge ? function : function with
            {
                Bridge = bridge with
                {
                    Functions = Functions(bridge.Functions),
                    SecondaryBus = Now() ? map.Bridge(function.Name).Secondary : null,
                    IoWindow = Now() ? map.Bridge(function.Name).Io : null,
                    MemoryWindow = Now() ? map.Bridge(function.Name).Memory : null,
                    PrefetchableWindow = Now() ? map.Bridge(function.Name).Prefetchable : null,
                },
            }),
        ];
        return request with { HostBridges = [.. request.HostBridges.Select(host => host with { Functions = Functions(host.Functions) })] };
    }

    private PlacementRequest Make()
    {
        PlatformLimits platform = RandomRequests.Platform(board, (ulong)_random.Next(1, 600) * Build.G / 4, _random.Next(36, 53)) with
        {
            Hole = (LowHole)_random.Next(2),
        };
        if (_random.Next(2) == 0)
        {
            platform = platform with { Ecam = new EcamDemand(256 * Build.M, null) };
        }

        List<ReservedRange> reserved = [.. platform.Reserved];
        for (int count = _random.Next(4); count > 0; count--)
        {
            ulong start = _random.Next(2) == 0 ? (ulong)_random.Next(0x1000, 0xB000) << 16 : (ulong)_random.NextInt64(1L << 32, 1L << 38) & ~0xFFFUL;
            ReservedKind kind = (ReservedKind)_random.Next((int)ReservedKind.User + 1);
            reserved.Add(new ReservedRange(Build.Range(start, 4096UL << _random.Next(12)), $"reserved range {count}", kind));
        }

        if (_random.Next(3) == 0)
        {
            reserved.Add(PlatformLimits.HyperTransport);
        }

        int hosts = _random.Next(1, 4);
        return new PlacementRequest(platform with { Reserved = reserved }, [.. Enumerable.Range(0, hosts).Select(Host)]);
    }

    private HostBridgeDemand Host(int index)
    {
        bool own = _random.Next(2) == 0;
        return new HostBridgeDemand($"pcie.{index}", Functions(0))
        {
            Segment = own ? (uint)(0x10000 + index) : 0,
            FirstBus = own ? (byte)0 : (byte)(index * 0x50),
            LastBus = own ? (byte)0xFF : (byte)(index * 0x50 + 0x4F),
        };
    }

    private List<FunctionDemand> Functions(int depth)
    {
        List<FunctionDemand> functions = [];
        int count = _random.Next(1, depth == 0 ? 5 : 3);
        for (int device = 0; device < count; device++)
        {
            bool bridge = depth < 3 && _random.Next(2) == 0;
            SriovDemand? sriov = !bridge && _random.Next(3) == 0
                ? new SriovDemand((ushort)_random.Next(1, 65)) { FirstOffset = (ushort)_random.Next(1, 200), Stride = (ushort)_random.Next(1, 3) } : null;
            functions.Add(new FunctionDemand($"f{_names++}", (byte)(device << 3), [.. Bars(bridge ? 1 : 4, 0), .. sriov is null ? [] : Bars(4, BarIndex.Vf0)])
            {
                Sriov = sriov,
                Bridge = bridge ? new BridgeDemand(Functions(depth + 1)) { Reserve = Reserve() } : null,
            });
        }

        return functions;
    }

    private HotplugReserve? Reserve() => _random.Next(3) != 0 ? null : new HotplugReserve
    {
        Buses = _random.Next(3),
        Io = (ulong)_random.Next(3) * 0x1000,
        Memory = (ulong)_random.Next(0, 5) * Build.M,
        Prefetchable = (ulong)_random.Next(0, 3) * Build.G / 2,
    };

    private List<BarDemand> Bars(int registers, int first)
    {
        List<BarDemand> bars = [];
        for (int index = 0; index < registers && _random.Next(3) != 0; index++)
        {
            BarKind kind = (BarKind)_random.Next(first == 0 ? 0 : 1, (int)BarKind.Rom);
            if (kind.Is64Bit() && index + 1 >= registers)
            {
                continue;
            }

            ulong size = kind switch
            {
                BarKind.Io => 1UL << _random.Next(2, 8),
                BarKind.Memory64Prefetchable => 1UL << _random.Next(12, 30),
                _ => 1UL << _random.Next(8, 20),
            };
            BarDemand bar = new(first + index, kind, size);
            bars.Add(kind == BarKind.Memory64Prefetchable && _random.Next(3) == 0
                ? bar with { ResizableSizes = [size / 4, size / 2, size, size * 2], LargestThatFits = _random.Next(2) == 0 } : bar);
            index += kind.Is64Bit() ? 1 : 0;
        }

        return bars;
    }
}
