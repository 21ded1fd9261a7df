using Aperture.Placement.Platforms;

namespace Aperture.Placement.Map;

/// <summary>The RAM split.</summary>
/// <param name="LowHoleStart">Where the low hole starts (TOLUD when RAM reaches it): RAM below it, PCI above it. At least the end of
/// <paramref name="Low"/>, but on a board whose RAM starts above the hole.</param>
/// <param name="Low">RAM from the board's first address of RAM on: the first of <see cref="LowPieces"/>.</param>
/// <param name="High">RAM from 4 GiB: the first of <see cref="HighPieces"/>; empty when everything fits below the hole.</param>
public sealed record RamPlacement(GuestAddress LowHoleStart, AddressRange Low, AddressRange High)
{
    /// <summary>All RAM below 4 GiB, ascending: one piece, or several around reserved ranges, and where RAM starts above the hole around pins.</summary>
    public required IReadOnlyList<AddressRange> LowPieces { get; init; }

    /// <summary>All RAM from 4 GiB up, ascending: none, one, or several around pins and reserved ranges.</summary>
    public required IReadOnlyList<AddressRange> HighPieces { get; init; }

    /// <summary>What the memory controller's registers say of the split; null on a board whose RAM does not start at 0.</summary>
    public required MemoryRegisters? Registers { get; init; }

    /// <summary>Where the low hole ends: at 4 GiB, or where RAM starts on a board that has it above the hole.</summary>
    public GuestAddress LowHoleEnd { get; init; } = new(PlatformLimits.FourGiB);

    /// <summary>The low hole.</summary>
    public AddressRange LowHole => new(LowHoleStart, LowHoleEnd - LowHoleStart);

    /// <summary>All pieces, ascending.</summary>
    public IEnumerable<AddressRange> Pieces => LowPieces.Concat(HighPieces);
}
