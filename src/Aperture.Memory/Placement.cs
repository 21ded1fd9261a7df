namespace Aperture.Memory;

/// <summary>A region at an address of one space.</summary>
/// <param name="Region">What was placed.</param>
/// <param name="Range">Where: the region's whole size.</param>
/// <param name="Priority">Higher wins where placements overlap.</param>
/// <param name="Sequence">Grows with every placement: of two with one priority the newer wins.</param>
public sealed record Placement(Region Region, AddressRange Range, int Priority, long Sequence);
