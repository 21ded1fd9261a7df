using System.Collections.Immutable;

namespace Aperture.Host.Model;

/// <summary>Where a description of a machine came from.</summary>
public enum HostOriginKind : byte
{
    /// <summary>The running kernel's own sysfs.</summary>
    LiveSysfs,

    /// <summary>A directory that holds a captured sysfs tree.</summary>
    CapturedTree,

    /// <summary>A tar archive of a captured sysfs tree.</summary>
    CapturedArchive,

    /// <summary>Text of <c>lspci</c>, with a hex dump or without.</summary>
    LspciDump,
}

/// <summary>Where a description of a machine came from, and its name for messages.</summary>
/// <param name="Kind">The kind of source.</param>
/// <param name="Name">The path as the user gave it.</param>
public sealed record HostOrigin(HostOriginKind Kind, string Name);

/// <summary>What a machine has, as far as its source tells. Immutable; functions are in address order.</summary>
public sealed record HostMachine
{
    private readonly Dictionary<PciAddress, HostFunction> _byAddress;

    internal HostMachine(HostOrigin origin, ImmutableArray<HostFunction> functions)
    {
        Origin = origin;
        Functions = functions;
        _byAddress = functions.ToDictionary(static function => function.Address);
    }

    /// <summary>The functions by address.</summary>
    internal IReadOnlyDictionary<PciAddress, HostFunction> ByAddress => _byAddress;

    /// <summary>Where the description came from.</summary>
    public HostOrigin Origin { get; }

    /// <summary>Every function, in address order.</summary>
    public ImmutableArray<HostFunction> Functions { get; }

    /// <summary>The host bridges, by domain and root bus.</summary>
    public ImmutableArray<HostBridge> HostBridges { get; init; } = [];

    /// <summary>The IOMMU groups by number; empty when there is no IOMMU or the source does not tell.</summary>
    public ImmutableArray<HostIommuGroup> IommuGroups { get; init; } = [];

    /// <summary>The NUMA nodes by number; empty when the source does not tell.</summary>
    public ImmutableArray<HostNumaNode> NumaNodes { get; init; } = [];

    /// <summary>True when the source says which IOMMU group each function is in (an empty list then means that there is no IOMMU in use).</summary>
    public bool KnowsIommuGroups { get; init; }

    /// <summary>What is not PCI: kernel, processor, IOMMUs, memory, limits.</summary>
    public HostSystem System { get; init; } = HostSystem.Unknown;

    /// <summary>What is odd about the machine or its description, worst first. See <see cref="RequireConsistent"/>.</summary>
    public ImmutableArray<HostFinding> Findings { get; init; } = [];

    /// <summary>The function at <paramref name="address"/>, or null.</summary>
    public HostFunction? Find(PciAddress address) => _byAddress.GetValueOrDefault(address);

    /// <summary>Refuses a machine that contradicts itself (overlapping BARs, sizes no BAR can have, BARs outside the windows above them).</summary>
    /// <exception cref="ApertureException">There is a finding of severity <see cref="HostFindingSeverity.Error"/>; the sentence is the first
    /// one's.</exception>
    public void RequireConsistent()
    {
        HostFinding? error = Findings.FirstOrDefault(static finding => finding.Severity == HostFindingSeverity.Error);
        if (error is not null)
        {
            throw new ApertureException($"{Origin.Name}: {error.Text}");
        }
    }
}

/// <summary>A host bridge: the root of one tree of buses.</summary>
/// <param name="Domain">The PCI domain.</param>
/// <param name="RootBus">The number of its root bus.</param>
/// <param name="RootFunctions">The functions on the root bus, in address order.</param>
public sealed record HostBridge(uint Domain, byte RootBus, ImmutableArray<PciAddress> RootFunctions);

/// <summary>An IOMMU group: the functions that the IOMMU cannot tell apart, or that reach each other without it.</summary>
/// <param name="Number">The kernel's number.</param>
/// <param name="Functions">Its PCI functions, in address order.</param>
/// <param name="ReservedRegions">I/O virtual addresses that are not free for mapping.</param>
public sealed record HostIommuGroup(int Number, ImmutableArray<PciAddress> Functions, ImmutableArray<HostReservedRegion> ReservedRegions)
{
    /// <summary>The kernel's word for the domain that it keeps the group in: <c>DMA</c>, <c>DMA-FQ</c>, <c>identity</c>; null when the source does not
    /// tell.</summary>
    public string? Type { get; init; }
}

/// <summary>An I/O virtual address range that an IOMMU group keeps for itself, as sysfs' <c>reserved_regions</c> lists it.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Type">The kernel's word: <c>direct</c>, <c>direct-relaxable</c>, <c>reserved</c>, <c>msi</c>.</param>
public sealed record HostReservedRegion(AddressRange Range, string Type);

/// <summary>A NUMA node.</summary>
/// <param name="Number">The kernel's number.</param>
/// <param name="Cpus">Its CPUs as sysfs lists them (<c>0-7,16-23</c>); empty when unknown or none.</param>
/// <param name="MemoryBytes">Its memory in bytes; null when unknown.</param>
public sealed record HostNumaNode(int Number, string Cpus, ulong? MemoryBytes);
