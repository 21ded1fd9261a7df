using Aperture.Placement.Platforms;

namespace Aperture.Placement.Map;

/// <summary>The RAM split.</summary>
/// <param name="LowHoleStart">Where the low hole starts (TOLUD when RAM reaches it): RAM below it, PCI above it. At least the end of
/// <paramref name="Low"/>.</param>
/// <param name="Low">RAM from address 0: the first of <see cref="LowPieces"/>.</param>
/// <param name="High">RAM from 4 GiB: the first of <see cref="HighPieces"/>; empty when everything fits below the hole.</param>
public sealed record RamPlacement(GuestAddress LowHoleStart, AddressRange Low, AddressRange High)
{
    /// <summary>All RAM below the low hole, ascending: one piece, or several around reserved ranges.</summary>
    public required IReadOnlyList<AddressRange> LowPieces { get; init; }

    /// <summary>All RAM from 4 GiB up, ascending: none, one, or several around pins and reserved ranges.</summary>
    public required IReadOnlyList<AddressRange> HighPieces { get; init; }

    /// <summary>What the memory controller's registers say of the split.</summary>
    public required MemoryRegisters Registers { get; init; }

    /// <summary>All pieces, ascending.</summary>
    public IEnumerable<AddressRange> Pieces => LowPieces.Concat(HighPieces);
}
