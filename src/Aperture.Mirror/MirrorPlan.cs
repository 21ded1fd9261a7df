using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>A host's topology as a guest's: what the solver was asked, what it answered, and what a reader must know besides.</summary>
/// <param name="Request">The request, the guest's own functions included.</param>
/// <param name="Result">The map, or the conflicts.</param>
/// <param name="Bars">Every BAR that is pinned to its host address.</param>
/// <param name="Notes">Sentences: what was not mirrored and why, what moved, the ACS state of the mirrored ports.</param>
public sealed record MirrorPlan(PlacementRequest Request, PlacementResult Result, IReadOnlyList<MirroredBar> Bars, IReadOnlyList<string> Notes)
{
    /// <summary>The functions that are the host's, by address; what else stands at a host's address holds its place.</summary>
    public IReadOnlySet<PciAddress> Functions { get; init; } = new HashSet<PciAddress>();
}

/// <summary>A BAR that has its host address in the guest.</summary>
/// <param name="Function">The host function; its text is the function's name in the request.</param>
/// <param name="Index">As <see cref="BarIndex"/> numbers it.</param>
/// <param name="Address">The address on the host's PCI bus, which is what a peer's DMA uses.</param>
public sealed record MirroredBar(PciAddress Function, int Index, GuestAddress Address);
