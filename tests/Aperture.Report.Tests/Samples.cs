using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.Placement.Search;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Report.Tests;

/// <summary>Maps to render: one made by hand that has everything, and solved ones of any size.</summary>
internal static class Samples
{
    public const ulong K = 1UL << 10;
    public const ulong M = 1UL << 20;
    public const ulong G = 1UL << 30;
    public const ulong T = 1UL << 40;

    public static AddressRange Range(ulong start, ulong size) => new(new GuestAddress(start), size);

    public static BarPlacement Bar(int index, BarKind kind, ulong start, ulong size, PlacementReasonKind why = PlacementReasonKind.FirstFit) =>
        new(new BarDemand(index, kind, size), Range(start, size),
            new PlacementReason(why) { Alignment = size, Window = "a window", PushedBy = "the other" })
        { Size = size };

    public static FunctionPlacement Function(string name, byte bus, int device, params BarPlacement[] bars) =>
        new(new FunctionDemand(name, (byte)(device << 3), [.. bars.Select(b => b.Demand)]), new Bdf(bus, device, 0), bars, null);

    public static FunctionPlacement Bridge(string name, byte bus, int device, byte secondary, AddressRange? io, AddressRange? memory,
        AddressRange? prefetchable, params FunctionPlacement[] behind) =>
        Function(name, bus, device) with
        {
            Bridge = new BridgePlacement
            {
                Primary = bus,
                Secondary = secondary,
                Subordinate = secondary,
                Io = io,
                Memory = memory,
                Prefetchable = prefetchable,
                Functions = behind,
            },
        };

    /// <summary>Two host bridges in two segments, RAM in three pieces, every kind of BAR, VFs, pins with host addresses.</summary>
    public static PlanReport HandMade()
    {
        BarPlacement vf = Bar(BarIndex.Vf0, BarKind.Memory64, 0x10_0000_0000, 128 * K) with { Size = 16 * K };
        FunctionPlacement gpu = Function(
            "gpu0",
            1,
            0,
            Bar(0, BarKind.Memory32, 0xC000_0000, 16 * M, PlacementReasonKind.Pushed),
            Bar(2, BarKind.Memory64Prefetchable, 0x6B80_0000_0000, 64 * G, PlacementReasonKind.Pinned),
            Bar(4, BarKind.Io, 0x1000, 128),
            Bar(BarKinds.RomIndex, BarKind.Rom, 0xC100_0000, 64 * K));
        HostBridgePlacement first = new()
        {
            Name = "pcie.0",
            Segment = 0,
            FirstBus = 0,
            LastBus = 0x7F,
            IoWindows = [Range(0x1000, 0x7000)],
            Mmio32Windows = [Range(0xC000_0000, 512 * M)],
            Mmio64Windows = [Range(0x10_0000_0000, 64 * G), Range(0x6000_0000_0000, 16 * T)],
            Functions =
            [
                Function("nic<&>\"'", 0, 2, vf),
                Bridge("rp0", 0, 1, 1, Range(0x1000, 0x1000), Range(0xC000_0000, 17 * M), Range(0x6B80_0000_0000, 64 * G), gpu),
            ],
        };
        HostBridgePlacement second = first with
        {
            Name = "pcie.1",
            Segment = 1,
            IoWindows = [],
            Mmio32Windows = [Range(0xE000_0000, 256 * M)],
            Mmio64Windows = [],
            Functions = [Function("disk", 0, 3, Bar(0, BarKind.Memory32Prefetchable, 0xE000_0000, 64 * K, PlacementReasonKind.Pinned))],
        };
        AddressRange low = Range(0, 2 * G);
        AddressRange high = Range(4 * G, 4 * G);
        GuestAddress at = new(2 * G);
        PlacementMap map = new()
        {
            Ram = new RamPlacement(at, low, high)
            {
                LowPieces = [low],
                HighPieces = [high, Range(16 * G, 2 * G)],
                Registers = new MemoryRegisters(new GuestAddress(8 * G), at, new GuestAddress(18 * G), new GuestAddress(8 * G), new GuestAddress((10 * G) - 1)),
            },
            Ecam = Range(0xB000_0000, 256 * M),
            Ecams = [new EcamPlacement(0, Range(0xB000_0000, 256 * M)), new EcamPlacement(1, Range(0x8_0000_0000, 256 * M))],
            Metrics = new LayoutMetrics(2 * G, 600 * M, Range(0x8000_0000, 768 * M), 3, 65 * G, new GuestAddress(0x6B90_0000_0000)),
            HostBridges = [first, second],
        };
        PlatformLimits platform = PlatformLimits.Q35(8 * G, 47) with
        {
            Reserved = [.. PlatformLimits.Q35Reserved,
                new ReservedRange(Range(0xFD_0000_0000, 12 * G), "the AMD HyperTransport range", ReservedKind.HyperTransport)],
            ReservedIo = [new ReservedRange(Range(0x3000, 0x10), "a debug port")],
        };
        return new PlanReport(new PlacementRequest(platform, []), map, "as given")
        {
            Origins = [new BarOrigin("gpu0", 2, new HostPhysicalAddress(0x6B80_0000_0000)), new BarOrigin("disk", 0, new HostPhysicalAddress(0xDF00_0000))],
        };
    }

    /// <summary>What the solver makes of <paramref name="functions"/> endpoints, in switches of up to sixteen, of several kinds, some pinned.</summary>
    public static PlanReport Solved(int functions, string prefix = "dev")
    {
        List<FunctionDemand> root = [];
        int left = functions;
        for (int port = 0; left > 0; port++)
        {
            int here = Math.Min(left, 16);
            left -= here;
            FunctionDemand[] down = [.. Enumerable.Range(0, here).Select(i => Demand($"dn{port}.{i}", i, Endpoint($"{prefix}{port}-{i}", (port * 16) + i)))];
            root.Add(Demand($"rp{port}", port + 1, Demand($"up{port}", 0, down)));
        }

        PlacementRequest request = new(PlatformLimits.Q35(8 * G, 47), [new HostBridgeDemand("pcie.0", root)]);
        PlanReport report = new(request, PlacementSolver.Solve(request).Require(), "as given");
        return report with
        {
            Origins =
            [.. report.Map.Functions.SelectMany(f => f.Bars.Where(b => b.Demand.Pin is not null)
                .Select(b => new BarOrigin(f.Name, b.Demand.Index, new HostPhysicalAddress(b.Address.Value))))]
        };
    }

    private static FunctionDemand Demand(string name, int device, params FunctionDemand[] behind) =>
        new(name, (byte)(device << 3), []) { Bridge = new BridgeDemand(behind) };

    private static FunctionDemand Endpoint(string name, int number) => new(name, 0, (number % 4) switch
    {
        0 => [new(0, BarKind.Memory64Prefetchable, 16 * G, new GuestAddress(0x2000_0000_0000 + ((ulong)number * 16 * G))), new(2, BarKind.Memory32, M)],
        1 => [new(0, BarKind.Memory32, 64 * K), new(1, BarKind.Memory32Prefetchable, M), new(BarKinds.RomIndex, BarKind.Rom, 64 * K)],
        2 => [new(0, BarKind.Memory64, 16 * K), new(2, BarKind.Memory64Prefetchable, 256 * M)],
        _ => number < 40 ? [new(0, BarKind.Memory32, 4 * K), new(5, BarKind.Io, 32)] : [new(0, BarKind.Memory32, 4 * K)],
    });
}
