using Aperture.Hypervisor;
using Aperture.Kvm.X86;

namespace Aperture.Kvm;

/// <summary>KVM as the hypervisor of one machine.</summary>
public sealed class KvmHypervisor : IHypervisor
{
    private readonly KvmSystem _system;
    private readonly VcpuTemplate _vcpus;

    private KvmHypervisor(KvmSystem system, VcpuTemplate vcpus)
    {
        _system = system;
        _vcpus = vcpus;
        Limits = LimitsOf(vcpus.Cpuid.PhysicalAddressBits) with { HasManagementMode = system.HasManagementMode };
    }

    /// <inheritdoc/>
    public HypervisorLimits Limits { get; }

    /// <summary>Opens KVM.</summary>
    /// <param name="cpus">vCPUs of the machine.</param>
    /// <param name="physicalAddressBits">The most physical address bits to show the guest, or null.</param>
    /// <exception cref="ApertureException">There is no KVM, or this user may not use it.</exception>
    public static KvmHypervisor Open(int cpus, int? physicalAddressBits)
    {
        KvmSystem system = KvmSystem.Open();
        try
        {
            return new KvmHypervisor(system, new VcpuTemplate(cpus, CpuidTable.FromHost(system, cpus, physicalAddressBits)));
        }
        catch
        {
            system.Dispose();
            throw;
        }
    }

    /// <summary>The limits of a guest with <paramref name="physicalAddressBits"/> on a complete KVM; nothing is opened.</summary>
    public static HypervisorLimits LimitsOf(int physicalAddressBits) =>
        new(physicalAddressBits, [new KeptRange(KvmVmOptions.KeptPages, "the pages that KVM keeps for itself")]) { HasManagementMode = true };

    /// <inheritdoc/>
    public IVm CreateVm() => _system.CreateVm(new KvmVmOptions { Vcpus = _vcpus });

    /// <inheritdoc/>
    public void Dispose() => _system.Dispose();
}
