using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>What a PC's VM and vCPUs have beyond those of every architecture.</summary>
public static class X86Vcpus
{
    private const int MaximumCount = 64;

    extension(Vcpu vcpu)
    {
        /// <summary>The general registers.</summary>
        /// <exception cref="LinuxException">KVM refused.</exception>
        public KvmRegisters Registers
        {
            get => KvmIoctl.GetRegisters(vcpu.Descriptor);
            set => KvmIoctl.SetRegisters(vcpu.Descriptor, value);
        }

        /// <summary>Segment, table and control registers.</summary>
        /// <exception cref="LinuxException">KVM refused.</exception>
        public KvmSpecialRegisters SpecialRegisters
        {
            get => KvmIoctl.GetSpecialRegisters(vcpu.Descriptor);
            set => KvmIoctl.SetSpecialRegisters(vcpu.Descriptor, value);
        }
    }

    /// <summary>The CPUID entries that KVM can give to a guest here, uncorrected (see <see cref="CpuidTable"/>).</summary>
    public static KvmCpuidEntry[] SupportedCpuid(this KvmSystem system)
    {
        ArgumentNullException.ThrowIfNull(system);
        return KvmIoctl.GetSupportedCpuid(system.Device);
    }

    /// <summary>Makes vCPUs 0 to <paramref name="count"/> - 1 in the processor's reset state, for somebody to answer. Once per VM.</summary>
    /// <param name="vm">A PC's VM.</param>
    /// <param name="count">1 to 64, and no more than KVM allows.</param>
    /// <param name="cpuid">What CPUID answers; see <see cref="CpuidTable.FromHost"/>.</param>
    /// <exception cref="ApertureException">A bad count, or KVM refused.</exception>
    public static PreparedVcpus PrepareVcpus(this KvmVm vm, int count, CpuidTable cpuid)
    {
        ArgumentNullException.ThrowIfNull(vm);
        ArgumentNullException.ThrowIfNull(cpuid);
        uint[] msrs = KvmIoctl.GetMsrIndexList(vm.System.Device);
        return PreparedVcpus.Create(vm, count, MaximumCount, (vcpu, index) =>
        {
            KvmIoctl.SetCpuid(vcpu, cpuid.ForVcpu(index));
            return VcpuResetState.Save(vm, vcpu, msrs);
        });
    }

    /// <summary>
    /// As <see cref="PrepareVcpus"/>, with their threads, stopped, and <paramref name="exits"/>, which makes the handler of each vCPU, given its index.
    /// </summary>
    /// <exception cref="ApertureException">A bad count, or KVM refused.</exception>
    public static VcpuGroup CreateVcpus(this KvmVm vm, int count, CpuidTable cpuid, Func<int, IVcpuExits> exits)
    {
        using PreparedVcpus prepared = vm.PrepareVcpus(count, cpuid);
        return prepared.Begin(exits);
    }
}
