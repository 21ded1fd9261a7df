using System.Collections.Immutable;
using Aperture.Host.Model;

namespace Aperture.Doctor.Checks;

/// <summary>Whether an IOMMU is on, how wide it is, and whether it remaps interrupts: without it no device can be given away safely.</summary>
internal static class IommuCheck
{
    private const string Name = "iommu";
    private const ushort Intel = 0x8086;
    private const string Groups = "/sys/kernel/iommu_groups";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        HostMachine host = examination.Host;
        if (!host.KnowsIommuGroups && host.IommuGroups.IsEmpty)
        {
            yield return NotTold(examination);
            yield break;
        }

        List<HostFunction> outside = [.. examination.Devices.Where(static device => device.IommuGroup is null)];
        if (outside.Count != 0)
        {
            yield return Off(examination, outside);
        }

        if (outside.Count < examination.Devices.Length)
        {
            yield return new Verdict(VerdictKind.Good, Name, [], $"The IOMMU is on{Width(examination.System)}.", Units(examination));
            foreach (Verdict verdict in Interrupts(examination))
            {
                yield return verdict;
            }
        }
    }

    /// <summary>The address bits that every IOMMU translates at least; null where one of them does not tell.</summary>
    internal static int? Bits(HostSystem system) =>
        system.IommuUnits is { IsEmpty: false } units && units.All(static unit => unit.AddressBits is not null)
            ? units.Min(static unit => unit.AddressBits) : null;

    private static Verdict NotTold(Examination examination)
    {
        ImmutableArray<string>? words = examination.System.KernelParameters;
        bool intel = examination.System.Processor?.Vendor is "GenuineIntel" or null
            && examination.Host.Functions.Any(static function => function is { Bridge: not null, Parent: null, Identity.Vendor: Intel });
        string asked = words is not { } told ? ""
            : told.Any(static word => word.StartsWith("intel_iommu=on", StringComparison.Ordinal)) ? "; /proc/cmdline has intel_iommu=on"
            : intel ? "; /proc/cmdline has no intel_iommu=on, without which many kernels leave VT-d off" : "";
        return new Verdict(VerdictKind.Unknown, Name, [],
            "Whether the IOMMU is on, and which devices share a group, is not known; without it nothing can be given to a guest.",
            $"no {Groups} in {examination.Host.Origin.Name}{asked}")
        {
            Decides = true,
            Changes = [examination.CaptureCommand],
        };
    }

    private static Verdict Off(Examination examination, List<HostFunction> outside)
    {
        HostSystem system = examination.System;
        string? off = system.KernelParameters?.FirstOrDefault(static word => word is "intel_iommu=off" or "amd_iommu=off" or "iommu=off");
        string seen = $"{Groups} has no group with {Examination.Names(outside)}";
        bool? described = system.IommuTables is { } tables ? !tables.IsEmpty : null;
        (string cause, string change) = (off, described) switch
        {
            ({ } word, _) => ($"The kernel was told to leave the IOMMU off ({word})", $"take {word} off the kernel's command line and start the host anew"),
            (_, false) => ("The firmware does not offer the IOMMU",
                "in the firmware setup turn on VT-d (Intel), AMD-Vi or IOMMU (AMD), or SMMU (arm64)"),
            (_, true) => ("The firmware offers the IOMMU and the kernel does not use it",
                "add intel_iommu=on (Intel) or amd_iommu=on (AMD) to GRUB_CMDLINE_LINUX in /etc/default/grub, then: update-grub && reboot"),
            _ => ("The IOMMU is off or absent",
                "in the firmware setup turn on VT-d (Intel), AMD-Vi or IOMMU (AMD); on Intel also start the kernel with intel_iommu=on"),
        };
        string table = system.IommuTables switch
        {
            null => "",
            { IsEmpty: true } => "; /sys/firmware/acpi/tables has neither DMAR nor IVRS nor IORT",
            { } names => $"; /sys/firmware/acpi/tables has {string.Join(", ", names)}",
        };
        return new Verdict(VerdictKind.Cannot, Name, Examination.Addresses(outside),
            $"{cause}, so the kernel gives {Examination.Names(outside)} to no guest.", $"{seen}{table}{(off is null ? "" : $"; /proc/cmdline has {off}")}")
        {
            Changes = [change],
        };
    }

    private static string Width(HostSystem system) => Bits(system) is { } bits ? $" and translates {bits} address bits" : "";

    private static string Units(Examination examination)
    {
        string groups = $"{Groups} has {examination.Host.IommuGroups.Length} groups";
        return examination.System.IommuUnits is { IsEmpty: false } units
            ? $"{groups}; /sys/class/iommu: {Examination.Some([.. units.Select(Describe)], 3)}"
            : $"{groups}; its width is not part of the description";
    }

    private static string Describe(HostIommuUnit unit) => unit switch
    {
        { Kind: HostIommuKind.Intel, Capabilities: { } register } => $"{unit.Name} cap=0x{register:x}",
        { Kind: HostIommuKind.Amd, Capabilities: { } register } => $"{unit.Name} features=0x{register:x}",
        _ => unit.Name,
    };

    private static IEnumerable<Verdict> Interrupts(Examination examination)
    {
        HostSystem system = examination.System;
        string? word = system.KernelParameters?.FirstOrDefault(static word => word is "nointremap" or "intremap=off");
        List<HostIommuUnit> lacking = [.. (system.IommuUnits ?? []).Where(static unit => unit.RemapsInterrupts == false)];
        if (word is null && lacking.Count == 0)
        {
            yield break;
        }

        bool unsafely = system.ModuleParameters.GetValueOrDefault("vfio_iommu_type1.allow_unsafe_interrupts") == "Y";
        string seen = word is not null ? $"/proc/cmdline has {word}" : $"/sys/class/iommu/{lacking[0].Name}/intel-iommu/ecap=0x{lacking[0].Extended:x}, "
            + "bit 3 is 0";
        yield return new Verdict(unsafely ? VerdictKind.Should : VerdictKind.Cannot, Name, [],
            unsafely
                ? "Interrupts are not remapped and the kernel was told to assign devices all the same: a guest with a device can raise any interrupt of "
                    + "the host."
                : "Interrupts are not remapped, so the kernel assigns no device: it could raise any interrupt of the host.",
            unsafely ? seen + "; /sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts=Y" : seen)
        {
            Changes = [word is not null ? $"take {word} off the kernel's command line" : "turn interrupt remapping (or x2APIC) on in the firmware "
                + "setup, or update the firmware"],
        };
    }
}
