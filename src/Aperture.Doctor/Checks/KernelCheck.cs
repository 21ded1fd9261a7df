using System.Collections.Immutable;
using System.Globalization;
using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>Parameters of the kernel and of its modules that matter when devices are assigned.</summary>
internal static class KernelCheck
{
    private const string Name = "kernel";
    private const string Interfaces = "vfio";

    // drivers/vfio/vfio_iommu_type1.c: the entries a container may have when nobody says otherwise.
    private const uint UsualEntries = 65535;

    internal static IEnumerable<Verdict> Look(Examination examination) =>
        [.. CommandLine(examination), .. Modules(examination), .. Nodes(examination)];

    private static IEnumerable<Verdict> CommandLine(Examination examination)
    {
        if (examination.System.KernelParameters is not { } words)
        {
            yield return new Verdict(VerdictKind.Unknown, Name, [], "What the kernel was started with is not known.",
                $"no /proc/cmdline in {examination.Host.Origin.Name}")
            { Changes = [examination.CaptureCommand] };
            yield break;
        }

        foreach (string word in words)
        {
            if (word.StartsWith("pcie_acs_override", StringComparison.Ordinal))
            {
                yield return new Verdict(VerdictKind.Should, Name, [],
                    "The kernel is patched to claim isolation that the ports do not have: groups look apart, but a guest's device can still reach its "
                        + "neighbours' memory without the IOMMU, and DMA to a guest address that a neighbour's BAR has ends there, as silent corruption.",
                    $"/proc/cmdline has {word}")
                {
                    Changes = ["take pcie_acs_override off; give the whole group to one guest, or use a slot below another root port"],
                };
            }
            else if (word.StartsWith("pci=", StringComparison.Ordinal) && word["pci=".Length..].Split(',') is var parts && parts.Contains("nomsi"))
            {
                yield return new Verdict(VerdictKind.Should, Name, [], "Messages are off, so every device is on a shared line and most drivers run "
                    + "slowly or not at all.",
                    $"/proc/cmdline has {word}")
                { Changes = ["take nomsi out of pci="] };
            }
        }

        if (HostDomains(examination, words) is { } domains)
        {
            yield return domains;
        }
    }

    // Which domain the kernel keeps the devices in while no guest has them (Linux, Documentation/ABI, iommu_groups/type); older ones do not tell.
    private static Verdict? HostDomains(Examination examination, ImmutableArray<string> words)
    {
        string? passing = words.FirstOrDefault(static word => word is "iommu=pt" or "iommu.passthrough=1");
        List<string> types = [.. examination.Devices
            .Select(device => examination.Host.IommuGroups.FirstOrDefault(group => group.Number == device.IommuGroup)?.Type)
            .OfType<string>().Distinct().Order(StringComparer.Ordinal)];
        string seen = $"/proc/cmdline has {passing ?? "no iommu=pt"}"
            + (types.Count == 0 ? "" : $"; /sys/kernel/iommu_groups/*/type of the devices: {string.Join(", ", types)}");
        return passing is not null || types is ["identity"]
            ? new Verdict(VerdictKind.Good, Name, [], "Devices that stay with the host are not translated; assigned ones are all the same.", seen)
            : types.Count == 0 ? null
            : new Verdict(VerdictKind.Note, Name, [],
                "Devices that stay with the host are translated, which costs fast network controllers and drives some speed; for assigned ones it "
                    + "changes nothing.",
                seen)
            {
                Changes = ["iommu=pt on the kernel's command line, if the host trusts its own devices"],
            };
    }

    private static IEnumerable<Verdict> Modules(Examination examination)
    {
        ImmutableSortedDictionary<string, string> values = examination.System.ModuleParameters;
        if (values.GetValueOrDefault("vfio.enable_unsafe_noiommu_mode") == "Y")
        {
            yield return new Verdict(VerdictKind.Should, Interfaces, [],
                "vfio may give devices away without an IOMMU: whoever has one reads and writes all of the host's memory. No guest can have such a device.",
                "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode=Y")
            { Changes = ["echo 0 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode"] };
        }

        if (values.GetValueOrDefault("vfio_iommu_type1.dma_entry_limit") is { } text
            && uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint limit))
        {
            string seen = $"/sys/module/vfio_iommu_type1/parameters/dma_entry_limit={limit}";
            yield return limit < UsualEntries
                ? new Verdict(VerdictKind.Should, Interfaces, [],
                    $"A container may have {limit} mappings, fewer than the usual {UsualEntries}: a guest whose IOMMU or memory is in many pieces fails "
                        + "with ENOSPC.", seen)
                {
                    Changes = [$"echo {UsualEntries} > /sys/module/vfio_iommu_type1/parameters/dma_entry_limit; to stay: options vfio_iommu_type1 "
                        + $"dma_entry_limit={UsualEntries} in /etc/modprobe.d/vfio.conf"],
                }
                : new Verdict(VerdictKind.Good, Interfaces, [], $"A container may have {limit} mappings; a piece of RAM or a BAR takes one.", seen);
        }
    }

    private static IEnumerable<Verdict> Nodes(Examination examination)
    {
        HostSystem system = examination.System;
        if (system.DeviceNodes is not { } nodes)
        {
            yield return new Verdict(VerdictKind.Unknown, Interfaces, [], "Which of VFIO's interfaces the kernel has is not known.",
                $"no /sys/class/misc in {examination.Host.Origin.Name}")
            { Changes = [examination.CaptureCommand] };
            yield break;
        }

        string seen = $"/sys/class/misc has {(nodes.IsEmpty ? "neither iommu nor vfio" : string.Join(" and ", nodes))}"
            + (system.KernelRelease is { } release ? $"; kernel {release}" : "");
        bool peers = (examination.Goals & (Goals.P2p | Goals.GpuDirect)) != 0;
        yield return nodes switch
        {
            { IsEmpty: true } => new Verdict(VerdictKind.Should, Interfaces, [], "VFIO is not loaded.", seen)
            {
                Changes = ["modprobe vfio-pci; so that it stays: echo vfio-pci > /etc/modules-load.d/vfio-pci.conf"],
            },
            _ when peers && nodes.Contains("iommu") && Version(system.KernelRelease) is { } version && version < new Version(6, 19) =>
                new Verdict(VerdictKind.Note, Interfaces, [], "iommufd maps BARs for peers from Linux 6.19 on; until then containers do.", seen)
                {
                    Changes = ["aperture run --vfio container ..."],
                },
            _ => new Verdict(VerdictKind.Good, Interfaces, [], "VFIO is there.", seen),
        };
    }

    private static Version? Version(string? release)
    {
        string[] parts = (release ?? "").Split('.', '-');
        return parts.Length > 1 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int major)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int minor) ? new Version(major, minor) : null;
    }
}
