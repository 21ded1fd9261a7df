namespace Aperture.Placement.Platforms;

/// <summary>Addresses that are taken, and by whom.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Origin">Who took them, as it reads after "it overlaps": <c>the HPET</c>, <c>the AMD HyperTransport hole</c>.</param>
/// <param name="Kind">What sort of thing that is.</param>
public sealed record ReservedRange(AddressRange Range, string Origin, ReservedKind Kind = ReservedKind.Board)
{
    /// <summary>
    /// True when RAM may not lie there either. What the board or the firmware keeps below 4 GiB lies over RAM on a real machine too and is
    /// the memory map's business; everything else has no RAM, because a device could not reach it there.
    /// </summary>
    public bool RamAvoids => Kind is not (ReservedKind.Board or ReservedKind.Firmware) || (!Range.IsEmpty && Range.Last.Value >= PlatformLimits.FourGiB);
}

/// <summary>Where a reserved range comes from.</summary>
public enum ReservedKind
{
    /// <summary>The guest's own board: IOAPIC, HPET, flash.</summary>
    Board,

    /// <summary>The guest's firmware.</summary>
    Firmware,

    /// <summary>The range that AMD processors route to HyperTransport.</summary>
    HyperTransport,

    /// <summary>The window of message-signalled interrupts: a DMA write there is an interrupt.</summary>
    MsiWindow,

    /// <summary>A region that the host's IOMMU cannot map.</summary>
    Iommu,

    /// <summary>A reserved memory region that the host's firmware declared for a device (VT-d, 8.4 RMRR; AMD IOMMU, IVMD).</summary>
    Rmrr,

    /// <summary>The user asked for it.</summary>
    User,
}
