using Aperture.Machine.Topology;
using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>Makes root ports and the ports of switches.</summary>
internal sealed class PortMaker : IFunctionMaker
{
    public MadeFunction? Make(TopologyNode node, FunctionSite site) => node.Kind switch
    {
        NodeKind.RootPort => new MadeFunction(new RootPort(node.Name, site.NextSlot())),
        NodeKind.SwitchUpstream => new MadeFunction(new SwitchUpstreamPort(node.Name)),
        NodeKind.SwitchDownstream => new MadeFunction(new SwitchDownstreamPort(node.Name, site.NextSlot())),
        _ => null,
    };
}
