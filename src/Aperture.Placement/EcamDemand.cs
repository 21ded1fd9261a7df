namespace Aperture.Placement;

/// <summary>The memory-mapped configuration window.</summary>
/// <param name="Size">Bytes, 1 MiB for each bus; a power of two, also the alignment.</param>
/// <param name="Pin">Where it must be, or null for a free place in the 32-bit space.</param>
public sealed record EcamDemand(ulong Size, GuestAddress? Pin);
