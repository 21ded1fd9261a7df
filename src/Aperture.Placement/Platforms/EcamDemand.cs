namespace Aperture.Placement.Platforms;

/// <summary>The memory-mapped configuration window of one PCI segment.</summary>
/// <param name="Size">Bytes, 1 MiB for each bus from bus 0 on; a power of two, also the alignment.</param>
/// <param name="Pin">Where it must be, or null for a free place: in the 32-bit space for the first segment, above 4 GiB where possible for others.</param>
public sealed record EcamDemand(ulong Size, GuestAddress? Pin)
{
    /// <summary>
    /// Where it is without <see cref="Pin"/> if that is free; from 4 GiB up, and then a free place there is the next choice. Null for the choice that
    /// <see cref="Pin"/> tells of.
    /// </summary>
    public GuestAddress? Preferred { get; init; }
}
