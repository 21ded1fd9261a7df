using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.Placement.Search;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Emission.Tests;

/// <summary>Maps that no solver made: any tree, any BARs, several host bridges, names and host addresses of any characters.</summary>
internal sealed class RandomPlan(int seed)
{
    private const string Nasty = "'\"`$();&|<>-#!\\\n\r\t\0\u0085\u2028\u202E\uD800\uFFFEé ,:=";
    private readonly Random _random = new(seed);
    private readonly Dictionary<string, string> _hosts = [];
    private int _names;
    private int _bus;

    public static EmissionPlan Make(int seed) => new RandomPlan(seed).Make();

    private EmissionPlan Make()
    {
        List<HostBridgePlacement> hosts = [];
        for (int i = _random.Next(1, 5); i > 0; i--)
        {
            byte first = (byte)(hosts.Count == 0 ? 0 : _random.Next(0, 256));
            _bus = first;
            hosts.Add(new HostBridgePlacement
            {
                Name = $"h{i}{Text()}",
                Segment = (uint)(_random.Next(3) == 0 ? _random.Next() : 0),
                FirstBus = first,
                LastBus = 0xFF,
                IoWindows = [],
                Mmio32Windows = [],
                Mmio64Windows = [],
                Functions = Functions(first, 0),
            });
        }

        AddressRange low = Range(0, (ulong)_random.Next(1, 0x8000) << 16);
        GuestAddress hole = new((ulong)_random.Next(0x1000, 0xFEC0) << 16);
        PlacementMap map = new()
        {
            Ram = new RamPlacement(
                hole, low, default)
            { LowPieces = [low], HighPieces = [], Registers = new MemoryRegisters(low.Last, hole, hole, hole, default) },
            Ecam = null,
            Ecams = _random.Next(2) == 0 ? [] : [new EcamPlacement((uint)_random.Next(2), Range(0xB000_0000, 256UL << 20))],
            Metrics = new LayoutMetrics(0, 0, default, 0, (ulong)_random.NextInt64(), default),
            HostBridges = hosts,
        };
        PlatformLimits limits = PlatformLimits.Q35((ulong)_random.NextInt64(1, 1L << 45), 46) with
        {
            Reserved = [.. Enum.GetValues<ReservedKind>().Select(kind => new ReservedRange(Range(1UL << 40, 4096), Text(), kind))],
        };
        return new EmissionPlan(new PlacementRequest(limits, []), map) { HostAddresses = _hosts };
    }

    private List<FunctionPlacement> Functions(byte bus, int depth)
    {
        List<FunctionPlacement> functions = [];
        for (int count = _random.Next(0, depth == 0 ? 40 : 4); count > 0; count--)
        {
            string name = $"n{_names++}q{Text()}";
            Bdf address = new(bus, _random.Next(32), _random.Next(8));
            BarPlacement[] bars = [.. Enumerable.Range(0, _random.Next(0, 4)).Select(_ => Bar())];
            BridgeDemand? demand = depth < 5 && _random.Next(3) == 0
                ? new BridgeDemand([]) { Reserve = _random.Next(2) == 0 ? new HotplugReserve() : null } : null;
            functions.Add(new FunctionPlacement(
                new FunctionDemand(name, address.DeviceFunction, []) { Bridge = demand, Sriov = _random.Next(5) == 0 ? new SriovDemand(4) : null }, address,
                bars, demand is null ? null : Behind(bus, depth)));
            if (_random.Next(3) == 0)
            {
                _hosts[name] = _random.Next(2) == 0 ? Text() : "0000:01:00.0";
            }
        }

        return functions;
    }

    private BridgePlacement Behind(byte bus, int depth)
    {
        byte secondary = (byte)++_bus;
        List<FunctionPlacement> functions = Functions(secondary, depth + 1);
        return new BridgePlacement
        {
            Primary = bus,
            Secondary = secondary,
            Subordinate = (byte)_bus,
            Io = _random.Next(2) == 0 ? null : Range(0x1000, 0x1000),
            Memory = _random.Next(2) == 0 ? null : Range(0xC000_0000, 1 << 20),
            Prefetchable = _random.Next(3) switch { 0 => null, 1 => Range(0xD000_0000, 1 << 20), _ => Range(1UL << 40, 1UL << 35) },
            Functions = functions,
        };
    }

    private BarPlacement Bar()
    {
        BarKind kind = (BarKind)_random.Next(6);
        ulong size = 1UL << _random.Next(2, kind.Is64Bit() ? 45 : 30);
        ulong start = (kind.Is64Bit() ? 1UL << 45 : 0x4000_0000UL) & ~(size - 1);
        return new BarPlacement(new BarDemand(_random.Next(BarIndex.End), kind, size), Range(start, size),
            new PlacementReason((PlacementReasonKind)_random.Next(4)))
        { Size = size };
    }

    private string Text() => new([.. Enumerable.Range(0, _random.Next(0, 8)).Select(_ => Nasty[_random.Next(Nasty.Length)])]);

    private static AddressRange Range(ulong start, ulong size) => new(new GuestAddress(start), size);
}
