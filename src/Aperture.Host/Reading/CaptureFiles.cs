namespace Aperture.Host.Reading;

/// <summary>Which files of sysfs matter here: what a capture saves, and what of an archive is kept in memory.</summary>
internal static class CaptureFiles
{
    /// <summary>A function's attributes.</summary>
    internal static readonly string[] Function =
    [
        "ari_enabled", "boot_vga", "class", "config", "device", "driver_override", "irq", "numa_node", "reset_method", "resource", "revision",
        "sriov_numvfs", "sriov_offset", "sriov_stride", "sriov_totalvfs", "sriov_vf_device", "subsystem_device", "subsystem_vendor", "vendor",
    ];

    /// <summary>A function's links.</summary>
    internal static readonly string[] FunctionLinks = ["driver", "iommu", "iommu_group", "physfn"];

    /// <summary>An IOMMU group's attributes.</summary>
    internal static readonly string[] Group = ["reserved_regions", "type"];

    /// <summary>A NUMA node's attributes.</summary>
    internal static readonly string[] Node = ["cpulist", "distance", "meminfo"];

    private static readonly HashSet<string> Kept = [.. Function, .. Group, .. Node];

    /// <summary>True when a file of this name may be one of them.</summary>
    internal static bool Matters(string name) => Kept.Contains(name) || SystemFiles.Matters(name);

    /// <summary>The most bytes that the file may have.</summary>
    internal static int Limit(string name) => name switch
    {
        "config" => HostLimits.Config,
        "cpuinfo" or "iomem" => HostLimits.ProcessFile,
        _ => HostLimits.Attribute,
    };
}
