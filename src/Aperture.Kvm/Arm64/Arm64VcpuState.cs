using System.Globalization;
using Aperture.Hypervisor;
using Aperture.Hypervisor.Arm64;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.Arm64;

/// <summary>An arm64 vCPU: its features, with which the kernel puts it into the processor's reset state again and again (KVM API 4.82).</summary>
/// <param name="target">The kind of processor.</param>
/// <param name="features">Its features, bit n for feature n.</param>
internal sealed class Arm64VcpuState(uint target, uint features) : IVcpuState
{
    /// <summary>Gives <paramref name="vcpu"/> its features, once.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public void Initialize(SafeFileDescriptor vcpu)
    {
        KvmIoctl.InitializeVcpu(vcpu, target, features);
        if ((features & (1u << KvmArm64.FeatureSve)) != 0)
        {
            KvmIoctl.FinalizeVcpu(vcpu, KvmArm64.FeatureSve);
        }
    }

    /// <summary>
    /// The kernel's own reset, which also makes what was written to RAM from outside visible to a guest that begins with its caches off; a vCPU other than the
    /// first is off then, and waits for PSCI's CPU_ON.
    /// </summary>
    public void Reset(SafeFileDescriptor vcpu, EntryState? boot)
    {
        if (boot is not (null or BootState))
        {
            throw new ArgumentException("not an arm64 machine's state", nameof(boot));
        }

        KvmIoctl.InitializeVcpu(vcpu, target, features);
        if (boot is BootState state)
        {
            KvmIoctl.SetRegister(vcpu, KvmArm64.X0, state.DeviceTree.Value);
            KvmIoctl.SetRegister(vcpu, KvmArm64.ProcessorState, state.ProcessorState);
            KvmIoctl.SetRegister(vcpu, KvmArm64.ProgramCounter, state.ProgramCounter.Value);
        }
    }

    /// <inheritdoc/>
    public string Location(SafeFileDescriptor vcpu) => KvmIoctl.TryGetRegister(vcpu, KvmArm64.ProgramCounter, out ulong pc)
        ? string.Create(CultureInfo.InvariantCulture, $" at pc 0x{pc:x}")
        : "";

    /// <inheritdoc/>
    public ulong ProgramCounter(SafeFileDescriptor vcpu) => KvmIoctl.TryGetRegister(vcpu, KvmArm64.ProgramCounter, out ulong pc) ? pc : 0;
}
