using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;
using Aperture.Kvm.Arm64;
using Aperture.Kvm.X86;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm;

/// <summary>KVM as the hypervisor of one machine.</summary>
public sealed class KvmHypervisor : IHypervisor
{
    private readonly KvmSystem _system;
    private readonly KvmVmOptions _options;

    private KvmHypervisor(KvmSystem system, KvmVmOptions options, HypervisorLimits limits)
    {
        _system = system;
        _options = options;
        Limits = limits;
    }

    /// <inheritdoc/>
    public HypervisorLimits Limits { get; }

    /// <summary>Opens KVM for a PC.</summary>
    /// <param name="cpus">vCPUs of the machine.</param>
    /// <param name="physicalAddressBits">The most physical address bits to show the guest, or null.</param>
    /// <exception cref="ApertureException">There is no KVM, or this user may not use it.</exception>
    public static KvmHypervisor Open(int cpus, int? physicalAddressBits) => Open(system =>
    {
        VcpuTemplate vcpus = new(cpus, CpuidTable.FromHost(system, cpus, physicalAddressBits));
        HypervisorLimits limits = LimitsOf(vcpus.Cpuid.PhysicalAddressBits) with { HasManagementMode = system.HasManagementMode };
        return new KvmHypervisor(system, new KvmVmOptions { Vcpus = vcpus }, limits);
    });

    /// <summary>Opens KVM for an arm64 machine.</summary>
    /// <param name="cpus">vCPUs of the machine.</param>
    /// <param name="physicalAddressBits">The most physical address bits to give the guest, or null for all that there are.</param>
    /// <param name="gic">Its interrupt controller; where this host has no translation service, it is made without.</param>
    /// <exception cref="ApertureException">There is no KVM, or this user may not use it.</exception>
    public static KvmHypervisor OpenArm64(int cpus, int? physicalAddressBits, GicDescription gic) => Open(system =>
    {
        ArgumentNullException.ThrowIfNull(gic);
        int most = Arm64Vm.MostAddressBits(system);
        int bits = Math.Min(most, physicalAddressBits ?? most);
        Arm64Features features = Arm64Features.OfHost(system);
        bool hasIts = gic.Its is not null && HasIts(system);
        KvmVmOptions options = new() { Arm64 = new Arm64Template(cpus, bits, hasIts ? gic : gic with { Its = null }, features) };
        return new KvmHypervisor(system, options, Arm64LimitsOf(bits) with { Arm64 = new Arm64Guest { HasIts = hasIts, HasPmu = features.Pmu } });
    });

    /// <summary>The limits of a PC's guest with <paramref name="physicalAddressBits"/> on a complete KVM; nothing is opened.</summary>
    public static HypervisorLimits LimitsOf(int physicalAddressBits) =>
        new(physicalAddressBits, [new KeptRange(KvmVmOptions.KeptPages, "the pages that KVM keeps for itself")]) { HasManagementMode = true };

    /// <summary>The same of an arm64 machine's: KVM keeps nothing for itself there.</summary>
    public static HypervisorLimits Arm64LimitsOf(int physicalAddressBits) =>
        new(physicalAddressBits, []) { Arm64 = new Arm64Guest { HasIts = true, HasPmu = true } };

    /// <inheritdoc/>
    public IVm CreateVm() => _system.CreateVm(_options);

    /// <inheritdoc/>
    public void Dispose() => _system.Dispose();

    private static KvmHypervisor Open(Func<KvmSystem, KvmHypervisor> make)
    {
        KvmSystem system = KvmSystem.Open();
        try
        {
            return make(system);
        }
        catch
        {
            system.Dispose();
            throw;
        }
    }

    // Only a VM tells; this one is closed at once.
    private static bool HasIts(KvmSystem system)
    {
        using Linux.SafeFileDescriptor vm = KvmIoctl.CreateVm(system.Device);
        return KvmIoctl.CanCreateDevice(vm, KvmArm64.VgicIts);
    }
}
