using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;

namespace Aperture.Board;

/// <summary>Makes root ports and the ports of switches. Numbers their slots: 1, 2, ...</summary>
internal sealed class PortMaker
{
    private ushort _slots;

    /// <summary>The port for <paramref name="node"/>, on no bus yet.</summary>
    public MadeFunction Make(PortNode node) => new(node.Kind switch
    {
        PortKind.Root => MakeRootPort(node),
        PortKind.SwitchUpstream => new SwitchUpstreamPort(node.Name, atomics: node.Atomics),
        _ => new SwitchDownstreamPort(node.Name, ++_slots, atomics: node.Atomics),
    });

    private RootPort MakeRootPort(PortNode node)
    {
        RootPort port = new(node.Name, ++_slots, atomics: node.Atomics);

        // Firmware looks for it in root ports only.
        if (node.Reserve is { } reserve)
        {
            port.AddCapability(new ReservationCapability
            {
                Buses = (uint)reserve.Buses,
                Io = reserve.Io,
                Memory = (uint)Math.Min(uint.MaxValue, reserve.Memory),
                Prefetchable = reserve.Prefetchable,
            });
        }

        return port;
    }
}
