using Aperture.Devices;
using Aperture.Machine.Board;
using Aperture.Machine.Configuration;
using Aperture.Pci;
using Aperture.Placement;
using ReservedRange = Aperture.Placement.ReservedRange;

namespace Aperture.Machine.Topology;

/// <summary>States a machine's topology as the solver's request.</summary>
public static class PlacementInput
{
    /// <summary>The request for <paramref name="config"/> with <paramref name="root"/> on bus 0 and <paramref name="physicalAddressBits"/> of guest address.</summary>
    public static PlacementRequest For(MachineConfig config, IReadOnlyList<TopologyNode> root, int physicalAddressBits)
    {
        PlatformLimits limits = PlatformLimits.Q35(config.MemorySize, physicalAddressBits) with
        {
            Mmio32Window = config.Mmio32Window,
            Mmio64Window = config.MmioWindow,
            Reserved = BoardLimits.Reserved,
            ReservedIo = [.. DebugExitPorts.Read(config).Select(p => new ReservedRange(new AddressRange(new GuestAddress(p), DebugExit.Length), $"debug-exit at 0x{p:x}"))],
        };
        return new PlacementRequest(limits, [new HostBridgeDemand("pcie.0", [.. root.Select(Demand)])]);
    }

    private static FunctionDemand Demand(TopologyNode node) => new(node.Name, node.DeviceFunction, Bars(node))
    {
        Bridge = !node.IsBridge ? null : new BridgeDemand([.. node.Children.Select(Demand)])
        {
            Reserve = node.Room?.Reserve,
            MemoryWindow = node.Room?.Memory,
            PrefetchableWindow = node.Room?.Prefetchable,
        },
    };

    private static List<BarDemand> Bars(TopologyNode node)
    {
        if (node.Test is not { } test)
        {
            return [];
        }

        List<BarDemand> bars = [.. test.Bars.Select(bar => new BarDemand(bar.Index, bar.Kind, bar.Size, node.PinOf(bar.Index)))];
        if (test.RomSize > 0)
        {
            bars.Add(new BarDemand(BarKinds.RomIndex, BarKind.Rom, test.RomSize, node.PinOf(BarKinds.RomIndex)));
        }

        return bars;
    }
}
