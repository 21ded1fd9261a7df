using Aperture.Board;
using Aperture.Configuration;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Functions;

/// <summary>Says a machine's PCI tree in the board's terms: ports, and functions that <paramref name="makers"/> make.</summary>
internal sealed class BoardNodes(IReadOnlyList<IFunctionMaker> makers)
{
    /// <summary>The nodes for <paramref name="nodes"/> and all below them. The chipset's functions are left out, which the board has by itself.</summary>
    public IReadOnlyList<BoardNode> Of(IEnumerable<TopologyNode> nodes) => [.. nodes.Where(n => n.Kind != NodeKind.Board).Select(Of)];

    /// <summary>As the other overload for one node.</summary>
    public BoardNode Of(TopologyNode node) => node.Kind switch
    {
        NodeKind.RootPort => new PortNode(node.Name, node.DeviceFunction, PortKind.Root, Of(node.Children))
        {
            Reserve = ReserveOf(node.Room),
            Atomics = AtomicsBelow(node),
        },
        NodeKind.SwitchUpstream => new PortNode(node.Name, node.DeviceFunction, PortKind.SwitchUpstream, Of(node.Children)) { Atomics = Routing(node) },
        NodeKind.SwitchDownstream => new PortNode(node.Name, node.DeviceFunction, PortKind.SwitchDownstream, Of(node.Children)) { Atomics = Routing(node) },
        _ => new DeviceNode(node.Name, node.DeviceFunction, site => Make(node, site)) { Pins = [.. PinsOf(node)] },
    };

    private static HotplugReserve? ReserveOf(PortRoom? room) => room is null ? null : room.Reserve with
    {
        Memory = Math.Max(room.Reserve.Memory, room.Memory?.Size ?? 0),
        Prefetchable = Math.Max(room.Reserve.Prefetchable, room.Prefetchable?.Size ?? 0),
    };

    // A port says the same to all below it: what the host does for every one of the devices there.
    private static AtomicOps AtomicsBelow(TopologyNode port) =>
        AssignedBelow(port).Select(part => part.Atomics).DefaultIfEmpty(AtomicOps.None).Aggregate(static (all, each) => all & each);

    private static AtomicOps Routing(TopologyNode port) => AtomicsBelow(port) == AtomicOps.None ? AtomicOps.None : AtomicOps.Routing;

    private static IEnumerable<AssignedPart> AssignedBelow(TopologyNode port) =>
        port.Children.SelectMany(node => AssignedBelow(node).Concat(node.Assigned is { } part ? [part] : []));

    private static IEnumerable<BarPin> PinsOf(TopologyNode node) =>
        node.Assigned is { } part ? PinsOf(part.Bars, part.Spec.Policy)
        : node.Device is { } device ? device.Pins.Select(pin => pin with { Policy = device.Policy })
        : [];

    private static IEnumerable<BarPin> PinsOf(IEnumerable<BarDemand> bars, BarPinPolicy policy) =>
        bars.Where(bar => bar.Pin is not null).Select(bar => new BarPin(bar.Index, bar.Pin!.Value) { Policy = policy });

    private MadeFunction Make(TopologyNode node, FunctionSite site)
    {
        foreach (IFunctionMaker maker in makers)
        {
            if (maker.Make(node, site) is { } made)
            {
                return made;
            }
        }

        throw new ApertureException($"{node.Name}: this board has no device of the kind {node.Kind}.");
    }
}
