using Aperture.Configuration;
using Aperture.Hypervisor;
using Aperture.Kvm;
using Aperture.Kvm.X86;
using Aperture.Machine.Boot;

namespace Aperture.Machine;

/// <summary>Chooses the hypervisor of a machine: the one place that knows which there are.</summary>
public static class Hypervisors
{
    /// <summary>
    /// This host's KVM. Where it cannot be had, one that has its limits and says so when the VM is made: what the user got wrong is told even where there is no
    /// KVM.
    /// </summary>
    /// <exception cref="ApertureException">As <see cref="FirmwareAddressBits.Most"/>.</exception>
    public static IHypervisor Open(MachineConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        int? bits = FirmwareAddressBits.Most(config, HostCpu.PhysicalAddressBits());
        try
        {
            return KvmHypervisor.Open(config.Cpus, bits);
        }
        catch (ApertureException missing)
        {
            return new Missing(KvmHypervisor.LimitsOf(HostCpu.PhysicalAddressBits(bits)), missing);
        }
    }

    /// <summary>The limits of a guest with <paramref name="physicalAddressBits"/>, for a plan that is made without a hypervisor.</summary>
    public static HypervisorLimits LimitsOf(int physicalAddressBits) => KvmHypervisor.LimitsOf(physicalAddressBits);

    /// <summary>As the other overload for the machine of <paramref name="config"/>, which need not be one that this host can run.</summary>
    public static HypervisorLimits LimitsOf(MachineConfig config, int physicalAddressBits)
    {
        ArgumentNullException.ThrowIfNull(config);

        // KVM keeps nothing of an arm64 guest's memory for itself.
        return config.Board == BoardKind.Virt ? new HypervisorLimits(physicalAddressBits, []) : LimitsOf(physicalAddressBits);
    }

    private sealed class Missing(HypervisorLimits limits, ApertureException failure) : IHypervisor
    {
        public HypervisorLimits Limits => limits;

        public IVm CreateVm() => throw failure;

        public void Dispose()
        {
        }
    }
}
