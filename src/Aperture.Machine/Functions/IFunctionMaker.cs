using Aperture.Board;
using Aperture.Machine.Topology;

namespace Aperture.Machine.Functions;

/// <summary>Makes the PCI functions of one kind. Makers are asked in turn; one that does not know a node leaves it to the next.</summary>
internal interface IFunctionMaker
{
    /// <summary>The function for <paramref name="node"/>, on no bus yet and without its pins, or null when it is not of this maker's kind.</summary>
    /// <exception cref="ApertureException">The host refuses.</exception>
    MadeFunction? Make(TopologyNode node, FunctionSite site);
}
