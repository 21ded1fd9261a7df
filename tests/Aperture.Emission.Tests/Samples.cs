using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Emission.Tests;

/// <summary>Plans to write.</summary>
internal static class Samples
{
    public const ulong K = 1UL << 10;
    public const ulong M = 1UL << 20;
    public const ulong G = 1UL << 30;

    public static BarDemand Bar(int index, BarKind kind, ulong size, ulong? pin = null) => new(index, kind, size, pin is { } at ? new GuestAddress(at) : null);

    public static FunctionDemand Device(string name, int device, params BarDemand[] bars) => new(name, (byte)(device << 3), bars);

    public static FunctionDemand Bridge(string name, int device, params FunctionDemand[] behind) =>
        new(name, (byte)(device << 3), []) { Bridge = new BridgeDemand(behind) };

    public static EmissionPlan Solve(PlatformLimits platform, params HostBridgeDemand[] hosts)
    {
        PlacementRequest request = new(platform, hosts);
        return new EmissionPlan(request, PlacementSolver.Solve(request).Require());
    }

    /// <summary>Something of everything: three host bridges, a switch, pins, VFs, a ROM, a hotplug port, reserved ranges, two host devices.</summary>
    public static EmissionPlan Everything()
    {
        FunctionDemand gpu = Device("gpu 0", 0, Bar(0, BarKind.Memory32, 16 * M, 0xC100_0000), Bar(2, BarKind.Memory64Prefetchable, 64 * G, 0x3B80_0000_0000),
            Bar(BarKinds.RomIndex, BarKind.Rom, 64 * K));
        FunctionDemand nic = Device(
            "nic0", 0, Bar(0, BarKind.Memory64Prefetchable, M), Bar(BarIndex.Vf0, BarKind.Memory64Prefetchable, 16 * K)) with
        { Sriov = new SriovDemand(8) };
        FunctionDemand hot = Bridge(
            "hot0", 2) with
        { Bridge = new BridgeDemand([]) { Reserve = new HotplugReserve { Buses = 2, Io = 4 * K, Memory = 32 * M, Prefetchable = 2 * G } } };
        HostBridgeDemand first = new("pcie.0",
        [
            Device("mch", 0),
            Bridge("rp0", 1, Bridge("sw0", 0, Bridge("sw0.0", 0, gpu), Bridge("sw0.1", 1, nic))),
            hot,
            Device("edu<1>", 3, Bar(0, BarKind.Memory32, M)),
            Device("lpc", 0x1F),
        ])
        { LastBus = 0x7F };
        HostBridgeDemand second = new(
            "pcie.1", [Bridge("rp1", 0, Device("fb0", 0, Bar(0, BarKind.Memory32Prefetchable, 16 * M), Bar(2, BarKind.Memory32, 4 * K)))])
        { FirstBus = 0x80 };
        HostBridgeDemand third = new("far", [Bridge("rp2", 0, Device("odd0", 0, Bar(0, BarKind.Memory32, 8 * M)))]) { Segment = 1 };
        PlatformLimits platform = PlatformLimits.Q35(8 * G, 46) with
        {
            Reserved =
            [
                .. PlatformLimits.Q35Reserved,
                PlatformLimits.HyperTransport,
                new ReservedRange(new AddressRange(new GuestAddress(0xD000_0000), 64 * K), "the graphics device's stolen memory", ReservedKind.Rmrr),
            ],
        };
        return Solve(platform, first, second, third) with
        {
            HostAddresses = new Dictionary<string, string> { ["gpu 0"] = "0000:3b:00.0", ["odd0"] = "0001:01:00.0" },
        };
    }

    /// <summary>What QEMU can stand in for BAR by BAR: nested switches, two functions of one device, a port with room, devices of every kind.</summary>
    public static EmissionPlan ForQemu()
    {
        FunctionDemand large = Device("large", 0, Bar(0, BarKind.Memory32, 4 * K), Bar(1, BarKind.Io, 256), Bar(2, BarKind.Memory64Prefetchable, 64 * G));
        FunctionDemand shared = Device("shared", 0, Bar(0, BarKind.Memory32, 256), Bar(2, BarKind.Memory64Prefetchable, 16 * M));
        FunctionDemand inner = Bridge("sw1", 0, Bridge("sw1.0", 0, shared), Bridge("sw1.1", 1, Device("edu0", 0, Bar(0, BarKind.Memory32, M))));
        HostBridgeDemand host = new("pcie.0",
        [
            Device("mch", 0),
            Bridge("hot0", 1) with { Bridge = new BridgeDemand([]) { Reserve = new HotplugReserve { Buses = 2, Memory = 8 * M, Prefetchable = 2 * G } } },
            Bridge("rp0", 4, Bridge("sw0", 0, Bridge("sw0.0", 0, large), Bridge("sw0.3", 3, inner))),
            Device("pair0", 5, Bar(0, BarKind.Memory32, M)),
            new FunctionDemand("pair1", (5 << 3) | 1, [Bar(0, BarKind.Memory64, 16 * K)]),
            Device("screen", 6, Bar(0, BarKind.Memory32Prefetchable, 16 * M), Bar(2, BarKind.Memory32, 4 * K)),
            Device("serial", 7, Bar(0, BarKind.Io, 8)),
            Device("lpc", 0x1F),
        ]);
        return Solve(PlatformLimits.Q35(512 * M, 40), host with { LastBus = 0x7F },
            new HostBridgeDemand("pcie.1", [Bridge("rp1", 0, Device("edu1", 0, Bar(0, BarKind.Memory32, M)))]) { FirstBus = 0x80 });
    }
}
