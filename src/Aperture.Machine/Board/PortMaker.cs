using Aperture.Machine.Topology;
using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>Makes root ports and the ports of switches.</summary>
internal sealed class PortMaker : IFunctionMaker
{
    public MadeFunction? Make(TopologyNode node, FunctionSite site) => node.Kind switch
    {
        NodeKind.RootPort => new MadeFunction(MakeRootPort(node, site.NextSlot())),
        NodeKind.SwitchUpstream => new MadeFunction(new SwitchUpstreamPort(node.Name)),
        NodeKind.SwitchDownstream => new MadeFunction(new SwitchDownstreamPort(node.Name, site.NextSlot())),
        _ => null,
    };

    // Firmware looks for it in root ports only.
    private static RootPort MakeRootPort(TopologyNode node, ushort slot)
    {
        RootPort port = new(node.Name, slot);
        if (node.Room is { } room)
        {
            port.AddCapability(new ReservationCapability
            {
                Buses = (uint)room.Reserve.Buses,
                Io = room.Reserve.Io,
                Memory = (uint)Math.Min(uint.MaxValue, Math.Max(room.Reserve.Memory, room.Memory?.Size ?? 0)),
                Prefetchable = Math.Max(room.Reserve.Prefetchable, room.Prefetchable?.Size ?? 0),
            });
        }

        return port;
    }
}
