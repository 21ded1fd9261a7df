using System.Text;

namespace Aperture.Host.Reading;

/// <summary>
/// The files besides PCI's that matter here, and what of them. What tells more than is needed (a command line, the map of memory) is cut down before it is
/// captured; <see cref="SystemReader"/> reads the same from the whole as from the rest.
/// </summary>
public static class SystemFiles
{
    /// <summary>Where the IOMMUs stand below sysfs' top.</summary>
    internal const string Iommus = "class/iommu";

    /// <summary>Where ACPI tables stand.</summary>
    internal const string Tables = "firmware/acpi/tables";

    /// <summary>Where modules stand.</summary>
    internal const string ModuleFolder = "module";

    /// <summary>Where miscellaneous device nodes are listed.</summary>
    internal const string NodeFolder = "class/misc";

    /// <summary>Where SMBIOS' texts stand.</summary>
    internal const string Dmi = "class/dmi/id";

    /// <summary>Where the machine's pools of huge pages stand.</summary>
    internal const string HugePages = "kernel/mm/hugepages";

    /// <summary>Where NUMA nodes stand.</summary>
    internal const string Nodes = "devices/system/node";

    /// <summary>Where modprobe's rules stand, from the root of the file system.</summary>
    internal const string Rules = "etc/modprobe.d";

    /// <summary>Names of an IOMMU's registers, below the folder of its kind.</summary>
    internal static readonly string[] IommuRegisters = ["intel-iommu/cap", "intel-iommu/ecap", "amd-iommu/features"];

    /// <summary>Tables that tell of an IOMMU.</summary>
    internal static readonly string[] IommuTables = ["DMAR", "IORT", "IVRS"];

    /// <summary>Device nodes that VFIO is opened by.</summary>
    internal static readonly string[] DeviceNodes = ["iommu", "vfio"];

    /// <summary>SMBIOS' texts; none of them is a serial number.</summary>
    internal static readonly string[] DmiTexts = ["bios_date", "bios_version", "board_name", "product_name", "sys_vendor"];

    /// <summary>A pool's numbers.</summary>
    internal static readonly string[] PoolNumbers = ["free_hugepages", "nr_hugepages"];

    /// <summary>Parameters of modules that matter.</summary>
    internal static readonly string[] Parameters =
    [
        "kvm/ignore_msrs", "vfio/enable_unsafe_noiommu_mode", "vfio_iommu_type1/allow_unsafe_interrupts", "vfio_iommu_type1/disable_hugepages",
        "vfio_iommu_type1/dma_entry_limit", "vfio_pci/disable_idle_d3", "vfio_pci/enable_sriov", "vfio_pci/ids", "vfio_pci/nointxmask",
    ];

    /// <summary>Files of procfs, from the root of the file system, and what a capture keeps of each.</summary>
    internal static readonly (string Path, Func<string, string> Keep)[] Process =
    [
        ("proc/cmdline", static text => string.Join(' ', KernelParameters(text)) + "\n"),
        ("proc/cpuinfo", FirstProcessor),
        ("proc/iomem", static text => Lines(text, static line => line.Contains("PCI Bus", StringComparison.Ordinal))),
        ("proc/self/limits", static text => Lines(text, static line => line.StartsWith("Max locked memory", StringComparison.Ordinal))),
        ("proc/self/status", static text => Lines(text, static line => line.StartsWith("CapEff:", StringComparison.Ordinal))),
        ("proc/sys/kernel/osrelease", static text => text),
    ];

    private static readonly string[] ParameterStarts =
    [
        "amd_iommu", "arm-smmu", "default_hugepagesz", "hugepages", "intel_iommu", "intremap", "iommu", "isolcpus", "kvm", "mem=", "module_blacklist",
        "modprobe.blacklist", "nointremap", "pci=", "pci-stub", "pcie", "rd.driver", "vfio", "video=",
    ];

    private static readonly string[] ProcessorLines = ["vendor_id", "cpu family", "model name", "address sizes"];

    private static readonly HashSet<string> Kept =
    [
        .. IommuRegisters.Concat(Parameters).Concat(Process.Select(static file => file.Path)).Select(TreeWalk.NameOf), .. IommuTables, .. DmiTexts,
        .. PoolNumbers, "cgroup", "memory.max", "version",
    ];

    /// <summary>The modules that matter here.</summary>
    public static IReadOnlyList<string> Modules { get; } =
        ["amdgpu", "iommufd", "kvm_amd", "kvm_intel", "nouveau", "nvidia", "nvidia_peermem", "vfio", "vfio_iommu_type1", "vfio_pci", "vfio_pci_core"];

    /// <summary>True when a file of this name may be one of them.</summary>
    internal static bool Matters(string name) => Kept.Contains(name) || name.EndsWith(".conf", StringComparison.Ordinal);

    /// <summary>The words of a kernel's command line that matter here.</summary>
    internal static IEnumerable<string> KernelParameters(string text) =>
        text.Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .Where(static word => Array.Exists(ParameterStarts, start => word.StartsWith(start, StringComparison.Ordinal)));

    /// <summary>The rules of one of modprobe's files that matter here.</summary>
    internal static string ModuleRules(string text) => Lines(text, static line =>
        line.TrimStart() is var rule && !rule.StartsWith('#')
        && (rule.Contains("vfio", StringComparison.Ordinal) || rule.StartsWith("blacklist ", StringComparison.Ordinal)));

    private static string FirstProcessor(string text)
    {
        int end = text.IndexOf("\n\n", StringComparison.Ordinal);
        return Lines(end < 0 ? text : text[..end], static line => Array.Exists(ProcessorLines, start => line.StartsWith(start, StringComparison.Ordinal)));
    }

    private static string Lines(string text, Func<string, bool> wanted)
    {
        StringBuilder kept = new();
        foreach (string line in text.Split('\n').Where(wanted))
        {
            kept.Append(line).Append('\n');
        }

        return kept.ToString();
    }
}
