using Aperture.Configuration;
using Aperture.Firmware.Uefi;
using Aperture.Hypervisor;
using Aperture.Memory;

namespace Aperture.Machine;

/// <summary>Decides whether a machine has system management mode.</summary>
internal static class ManagementModeChoice
{
    private const string HostHasNone = "this host's KVM has none (KVM_CAP_X86_SMM)";

    /// <summary>True when <paramref name="config"/> asks for the mode, or leaves it open and the <paramref name="firmware"/> does not start without.</summary>
    /// <exception cref="ApertureException">It is needed and cannot be had: one sentence with what is missing and what to do.</exception>
    public static bool Make(MachineConfig config, RamBlock? firmware, HypervisorLimits limits)
    {
        bool isNeeded = firmware is not null && FirmwareVolumes.NeedManagementMode(firmware.AsSpan(0, (int)firmware.Size));
        if (!isNeeded && config.ManagementMode != ManagementModeKind.On)
        {
            return false;
        }

        if (Missing(config, limits, isNeeded) is not ({ } what, { } remedy))
        {
            return true;
        }

        string sentence = isNeeded
            ? $"--firmware {config.Firmware} is a build of OVMF that starts only with system management mode, where it guards Secure Boot's variables, and "
                + $"{what}; {remedy}, or use a build without Secure Boot, such as OVMF_CODE_4M.fd."
            : $"--smm on asks for system management mode, and {what}; {remedy}.";
        throw new ApertureException(sentence, what == HostHasNone ? ApertureException.HostFailure : ApertureException.ConfigurationError);
    }

    private static (string What, string Remedy)? Missing(MachineConfig config, HypervisorLimits limits, bool isNeeded)
    {
        if (config.ManagementMode == ManagementModeKind.Off)
        {
            return ("--smm off leaves that out", "leave --smm out");
        }

        if (config.Board != BoardKind.Q35)
        {
            return ($"--machine {(config.Board == BoardKind.Virt ? "virt" : "i440fx")} has none", "use --machine q35");
        }

        if (!limits.HasManagementMode)
        {
            return (HostHasNone, "use a kernel that was built with CONFIG_KVM_SMM");
        }

        return isNeeded && config.Variables is null
            ? ("it has no flash for them here", "give it vars=FILE,template=FILE after the image (OVMF_VARS_4M.fd is a template)")
            : null;
    }
}
