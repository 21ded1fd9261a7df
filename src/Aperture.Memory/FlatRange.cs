namespace Aperture.Memory;

/// <summary>A run of addresses of a flat view and what answers there.</summary>
/// <param name="Range">The addresses; never empty.</param>
/// <param name="Region">What answers; never a hole.</param>
/// <param name="OffsetInRegion">Where in the region the run starts, in bytes.</param>
public readonly record struct FlatRange(AddressRange Range, Region Region, ulong OffsetInRegion)
{
    /// <summary>The offset in the region of an address inside the run.</summary>
    public ulong OffsetOf(GuestAddress address) => OffsetInRegion + (address - Range.Start);

    /// <summary>The addresses and the region's name.</summary>
    public override string ToString() => $"{Range} {Region.Name}+0x{OffsetInRegion:x}";
}
