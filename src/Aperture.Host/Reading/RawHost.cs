using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Host.Reading;

/// <summary>What a reader found, before anything is concluded from it.</summary>
internal sealed class RawHost
{
    internal required HostOrigin Origin { get; init; }

    internal List<RawFunction> Functions { get; } = [];

    internal List<RawGroup> Groups { get; } = [];

    internal List<HostNumaNode> NumaNodes { get; } = [];

    /// <summary>Functions that were listed and gone when they were read: a VF, or a device that was pulled out, while a live host was read.</summary>
    internal SortedSet<PciAddress> Vanished { get; } = [];

    internal bool KnowsIommuGroups { get; set; }

    /// <summary>What is not PCI.</summary>
    internal HostSystem System { get; set; } = HostSystem.Unknown;
}

/// <summary>An IOMMU group as found.</summary>
internal sealed record RawGroup(int Number, List<PciAddress> Functions, List<HostReservedRegion> Regions)
{
    /// <summary>The kernel's word for the domain that its devices are in when no one assigns them.</summary>
    internal string? Type { get; set; }
}

/// <summary>A line of sysfs' <c>resource</c>: first and last address as the CPU sees them, and the kernel's flags.</summary>
internal readonly record struct RawResource(ulong First, ulong Last, ulong Flags);

/// <summary>A region line of <c>lspci -v</c>.</summary>
/// <param name="Index">The BAR's number, or -1 where plain <c>-v</c> leaves it out.</param>
/// <param name="IsRom">An expansion ROM line.</param>
/// <param name="IsIo">I/O ports.</param>
/// <param name="Is64Bit">Marked 64-bit.</param>
/// <param name="IsPrefetchable">Marked prefetchable.</param>
/// <param name="Address">The address; null when none is assigned.</param>
/// <param name="Size">In bytes; null when not printed.</param>
internal sealed record RawRegion(int Index, bool IsRom, bool IsIo, bool Is64Bit, bool IsPrefetchable, ulong? Address, ulong? Size)
{
    /// <summary>Marked as disabled: the function does not decode it.</summary>
    internal bool IsDisabled { get; init; }

    /// <summary>What it decodes.</summary>
    internal BarKind Kind => IsRom ? BarKind.Rom : IsIo ? BarKind.Io
        : Is64Bit ? (IsPrefetchable ? BarKind.Memory64Prefetchable : BarKind.Memory64)
        : IsPrefetchable ? BarKind.Memory32Prefetchable : BarKind.Memory32;
}

/// <summary>SR-IOV numbers that sysfs has as files of their own.</summary>
internal sealed record RawSriov(int TotalVfs, int NumVfs, ushort Offset, ushort Stride, ushort VfDevice);

/// <summary>A function as found.</summary>
internal sealed class RawFunction
{
    internal required PciAddress Address { get; init; }

    /// <summary>File and place for messages.</summary>
    internal required string Place { get; init; }

    internal byte[] Config { get; set; } = [];

    internal ushort? Vendor { get; set; }

    internal ushort? Device { get; set; }

    internal ushort? SubsystemVendor { get; set; }

    internal ushort? Subsystem { get; set; }

    internal uint? ClassCode { get; set; }

    internal byte? Revision { get; set; }

    internal string? Driver { get; set; }

    internal int? NumaNode { get; set; }

    internal int? IommuGroup { get; set; }

    internal string? DriverOverride { get; set; }

    internal string? IommuUnit { get; set; }

    internal List<string>? ResetMethods { get; set; }

    internal int? Irq { get; set; }

    internal bool? BootDisplay { get; set; }

    internal PciAddress? PhysicalFunction { get; set; }

    internal RawSriov? Sriov { get; set; }

    /// <summary>The lines of <c>resource</c>; null when the source has none.</summary>
    internal List<RawResource>? Resources { get; set; }

    /// <summary>The region lines of a dump.</summary>
    internal List<RawRegion> Regions { get; } = [];

    /// <summary>The other lines of a dump; null when the source is none.</summary>
    internal RawText? Text { get; set; }
}
