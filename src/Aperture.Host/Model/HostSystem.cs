using System.Collections.Immutable;

namespace Aperture.Host.Model;

/// <summary>
/// What of a host besides PCI decides about giving devices to guests. Null means "the source does not tell"; an empty list is one that was looked at.
/// </summary>
public sealed record HostSystem
{
    /// <summary>Nothing is told.</summary>
    public static HostSystem Unknown { get; } = new();

    /// <summary>The words of the kernel's command line; a capture holds those that <see cref="Reading.SystemFiles"/> lets through.</summary>
    public ImmutableArray<string>? KernelParameters { get; init; }

    /// <summary>The kernel's release, such as <c>6.12.4-amd64</c>.</summary>
    public string? KernelRelease { get; init; }

    /// <summary>The first processor.</summary>
    public HostProcessor? Processor { get; init; }

    /// <summary>The IOMMUs that the kernel drives, by name.</summary>
    public ImmutableArray<HostIommuUnit>? IommuUnits { get; init; }

    /// <summary>The names of those ACPI tables that tell of an IOMMU: <c>DMAR</c>, <c>IVRS</c>, <c>IORT</c>.</summary>
    public ImmutableArray<string>? IommuTables { get; init; }

    /// <summary>Pools of huge pages: of the whole machine, and of each node.</summary>
    public ImmutableArray<HostHugePages>? HugePages { get; init; }

    /// <summary>The names of those modules in <see cref="Reading.SystemFiles.Modules"/> that are loaded (or built in and have parameters).</summary>
    public ImmutableArray<string>? Modules { get; init; }

    /// <summary>Parameters of modules, as <c>vfio_iommu_type1.dma_entry_limit</c>; what is not there is not told.</summary>
    public ImmutableSortedDictionary<string, string> ModuleParameters { get; init; } = ImmutableSortedDictionary<string, string>.Empty;

    /// <summary>Which of <c>iommu</c> (iommufd) and <c>vfio</c> (containers) the kernel has a device node for.</summary>
    public ImmutableArray<string>? DeviceNodes { get; init; }

    /// <summary>Lines of <c>/etc/modprobe.d</c> that name vfio or keep a driver away.</summary>
    public ImmutableArray<string>? ModuleRules { get; init; }

    /// <summary>Who made the machine and its firmware.</summary>
    public HostFirmware? Firmware { get; init; }

    /// <summary>How much memory a process may lock and use: that of the reading, or the one that made the capture.</summary>
    public HostProcessLimits? Limits { get; init; }

    /// <summary>What the root buses forward; null also where the addresses are hidden from who looked (it takes root).</summary>
    public ImmutableArray<HostRootWindow>? RootWindows { get; init; }
}

/// <summary>A processor.</summary>
/// <param name="Vendor">The vendor's word: <c>GenuineIntel</c>, <c>AuthenticAMD</c>; empty where the architecture has none.</param>
/// <param name="Family">Its family number; 0 when not told.</param>
/// <param name="Name">Its model's name; empty when not told.</param>
/// <param name="AddressBits">Its physical address bits; null when not told.</param>
public sealed record HostProcessor(string Vendor, int Family, string Name, int? AddressBits);

/// <summary>Whose programming model an IOMMU follows.</summary>
public enum HostIommuKind : byte
{
    /// <summary>Another.</summary>
    Other,

    /// <summary>Intel's VT-d.</summary>
    Intel,

    /// <summary>AMD's.</summary>
    Amd,
}

/// <summary>An IOMMU that the kernel drives.</summary>
/// <param name="Name">The kernel's name: <c>dmar0</c>, <c>ivhd0</c>.</param>
/// <param name="Kind">Whose model it follows.</param>
/// <param name="Capabilities">VT-d: the capability register (VT-d 4.1, 11.4.2); AMD: the extended features (AMD IOMMU 3.09, MMIO offset 0x30). Null when
/// not told.</param>
/// <param name="Extended">VT-d: the extended capability register (11.4.3); null when not told.</param>
public sealed record HostIommuUnit(string Name, HostIommuKind Kind, ulong? Capabilities, ulong? Extended)
{
    /// <summary>
    /// The address bits that it translates. VT-d: MGAW, bits 21:16, plus 1, and no more than the deepest table of SAGAW, bits 12:8. AMD: by the depth of its
    /// tables, bits 11:10. Null when not told.
    /// </summary>
    public int? AddressBits => (Kind, Capabilities) switch
    {
        (HostIommuKind.Intel, { } register) => Math.Min((int)(register >> 16 & 0x3F) + 1, Deepest((int)(register >> 8 & 0x1F))),
        (HostIommuKind.Amd, { } register) => (register >> 10 & 3) switch { 0 => 48, 1 => 57, 2 => 64, _ => null },
        _ => null,
    };

    /// <summary>Whether it can remap interrupts: VT-d's extended capability, bit 3; every one of AMD's can. Null when not told.</summary>
    public bool? RemapsInterrupts => Kind == HostIommuKind.Amd ? true : Kind == HostIommuKind.Intel && Extended is { } register ? (register >> 3 & 1) != 0
        : null;

    private static int Deepest(int widths) => (widths & 8) != 0 ? 57 : (widths & 4) != 0 ? 48 : (widths & 2) != 0 ? 39 : 64;
}

/// <summary>A pool of huge pages.</summary>
/// <param name="Node">The NUMA node; null for the whole machine.</param>
/// <param name="PageSize">Bytes of a page.</param>
/// <param name="Total">Pages set aside.</param>
/// <param name="Free">Of those, pages that nobody uses.</param>
public sealed record HostHugePages(int? Node, ulong PageSize, ulong Total, ulong Free);

/// <summary>What the firmware says of itself and of the machine (SMBIOS 3.7, sections 7.1 to 7.3); empty texts where it does not.</summary>
/// <param name="Vendor">The machine's maker.</param>
/// <param name="Product">The machine's name.</param>
/// <param name="Board">The board's name.</param>
/// <param name="Version">The firmware's version.</param>
/// <param name="Date">The firmware's date.</param>
public sealed record HostFirmware(string Vendor, string Product, string Board, string Version, string Date);

/// <summary>How much memory a process may lock and use.</summary>
/// <param name="LockedBytes">RLIMIT_MEMLOCK; <see cref="ulong.MaxValue"/> without a limit, null when not told.</param>
/// <param name="MayPassLimit">True when the process has CAP_IPC_LOCK, to which the limit does not apply; null when not told.</param>
/// <param name="CgroupBytes">The least <c>memory.max</c> of its cgroups; <see cref="ulong.MaxValue"/> without one, null when not told.</param>
public sealed record HostProcessLimits(ulong? LockedBytes, bool? MayPassLimit, ulong? CgroupBytes);

/// <summary>What a host bridge forwards to a root bus, as the kernel took it from the firmware's <c>_CRS</c>.</summary>
/// <param name="Domain">The domain.</param>
/// <param name="Bus">The root bus.</param>
/// <param name="Range">The addresses, as the CPU sees them.</param>
public sealed record HostRootWindow(uint Domain, byte Bus, AddressRange Range);
