using Aperture.Pci;

namespace Aperture.Host.Model;

/// <summary>How a size is known.</summary>
public enum SizeOrigin : byte
{
    /// <summary>The size is not known at all.</summary>
    Unknown,

    /// <summary>An upper bound, drawn from the address' alignment and from what follows it: a hex dump has no sizes.</summary>
    Inferred,

    /// <summary>The kernel or a register says so.</summary>
    Known,
}

/// <summary>A base address register of a host function, or its expansion ROM.</summary>
/// <param name="Index">0 to 5 as the first register's number, <see cref="BarKinds.RomIndex"/> for the ROM.</param>
/// <param name="Kind">What it decodes.</param>
/// <param name="Address">The address on the PCI bus (what a peer's DMA uses); null when none is assigned.</param>
/// <param name="Size">In bytes; 0 when unknown.</param>
/// <param name="Origin">How the size is known.</param>
public sealed record HostBar(int Index, BarKind Kind, GuestAddress? Address, ulong Size, SizeOrigin Origin)
{
    /// <summary>
    /// The address as the CPU sees it; differs from <see cref="Address"/> where the host bridge translates (not on x86). Null when the source does not tell.
    /// </summary>
    public GuestAddress? CpuAddress { get; init; }

    /// <summary>True when the function answers: the command register's bit is on and, for a ROM, its own too.</summary>
    public bool Enabled { get; init; }

    /// <summary>True when the range is not the BAR register's doing: legacy IDE ports, a shadowed ROM, Enhanced Allocation. It cannot be moved.</summary>
    public bool Fixed { get; init; }

    /// <summary>True when an address is assigned.</summary>
    public bool Assigned => Address is not null;

    /// <summary>The bus addresses it takes; null when unassigned or when the size is unknown.</summary>
    public AddressRange? Range => Address is { } start && Size != 0 && AddressRange.Fits(start, Size) ? new AddressRange(start, Size) : null;
}

/// <summary>What the VFs of a function decode: one BAR register of its SR-IOV capability (PCI Express 5.0, section 9.3.3.14).</summary>
/// <param name="Index">0 to 5.</param>
/// <param name="Kind">What each VF's BAR decodes.</param>
/// <param name="Address">Address of the first VF's BAR; null when none is assigned.</param>
/// <param name="Size">Bytes for each VF; 0 when unknown. All VFs together take this times TotalVFs.</param>
/// <param name="Origin">How the size is known.</param>
public sealed record HostVfBar(int Index, BarKind Kind, GuestAddress? Address, ulong Size, SizeOrigin Origin);

/// <summary>One entry of the resizable BAR capability (PCI Express 5.0, section 7.8.6), or of its twin for VFs (7.8.7).</summary>
/// <param name="BarIndex">The BAR it resizes.</param>
/// <param name="SupportedSizes">Bit n set: 2^n MiB is offered.</param>
/// <param name="CurrentSize">The size in use, in bytes.</param>
public sealed record HostResizableBar(int BarIndex, ulong SupportedSizes, ulong CurrentSize)
{
    /// <summary>The largest size offered, in bytes; 0 when none is.</summary>
    public ulong LargestSize => SupportedSizes == 0 ? 0 : 1UL << (63 - System.Numerics.BitOperations.LeadingZeroCount(SupportedSizes) + 20);

    /// <summary>True when <paramref name="bytes"/> is one of the sizes offered.</summary>
    public bool Offers(ulong bytes) =>
        System.Numerics.BitOperations.IsPow2(bytes) && bytes >= 1UL << 20 && (SupportedSizes >> (System.Numerics.BitOperations.Log2(bytes) - 20) & 1) != 0;
}
