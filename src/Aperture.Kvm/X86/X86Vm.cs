using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>A PC's VM: PICs, I/O APIC, local APICs and interval timer in the kernel, or no interrupt controllers at all.</summary>
/// <param name="hasInterruptControllers">Whether it has them.</param>
/// <param name="vcpus">What <see cref="PrepareVcpus"/> makes.</param>
internal sealed class X86Vm(bool hasInterruptControllers, VcpuTemplate? vcpus) : VmArchitecture
{
    private InterruptControllerState? _resetState;

    /// <inheritdoc/>
    public override InterruptInputs Inputs => PcInputs.Instance;

    /// <inheritdoc/>
    public override ulong MachineType(KvmSystem system)
    {
        if (hasInterruptControllers)
        {
            RequireInterrupts(system);
        }

        return 0;
    }

    /// <inheritdoc/>
    public override void SetUp(KvmVm vm)
    {
        KvmIoctl.SetIdentityMapAddress(vm.Descriptor, KvmVmOptions.KeptPages.Start.Value);
        KvmIoctl.SetTssAddress(vm.Descriptor, checked((uint)(KvmVmOptions.KeptPages.Start.Value + 0x1000)));
        if (hasInterruptControllers)
        {
            KvmIoctl.CreateIrqchip(vm.Descriptor);
            KvmIoctl.CreatePit(vm.Descriptor);

            // Firmware that handles its tick slowly would otherwise get a storm of them and never go on.
            KvmIoctl.DropMissedPitTicks(vm.Descriptor);
            vm.Routes.ApplyNow();
            _resetState = InterruptControllerState.Save(vm.Descriptor);
        }
    }

    /// <summary>0xFEExxxxx, the local APICs' (SDM 3A 11.11.1); KVM looks at the destination in the address only.</summary>
    public override bool Takes(GuestAddress address) => address.Value >> 20 == 0xFEE;

    /// <inheritdoc/>
    public override uint? DeviceId(Bdf requester) => null;

    /// <inheritdoc/>
    public override PreparedVcpus PrepareVcpus(KvmVm vm) => vcpus is not null
        ? vm.PrepareVcpus(vcpus.Count, vcpus.Cpuid)
        : throw new InvalidOperationException("the VM was made without saying which vCPUs it has");

    /// <inheritdoc/>
    public override void ResetInterruptControllers(KvmVm vm) => _resetState?.Restore(vm.Descriptor);

    /// <inheritdoc/>
    public override void Dispose()
    {
        // The VM's own end is that of its controllers.
    }

    private static void RequireInterrupts(KvmSystem system)
    {
        ReadOnlySpan<(KvmCapability Capability, string Name)> needed =
        [
            (KvmCapability.Irqchip, "KVM_CAP_IRQCHIP"),
            (KvmCapability.Pit2, "KVM_CAP_PIT2"),
            (KvmCapability.PitState2, "KVM_CAP_PIT_STATE2"),
            (KvmCapability.IrqRouting, "KVM_CAP_IRQ_ROUTING"),
            (KvmCapability.Irqfd, "KVM_CAP_IRQFD"),
            (KvmCapability.IoEventFd, "KVM_CAP_IOEVENTFD"),
            (KvmCapability.SignalMsi, "KVM_CAP_SIGNAL_MSI"),
            (KvmCapability.MpState, "KVM_CAP_MP_STATE"),
        ];
        foreach ((KvmCapability capability, string name) in needed)
        {
            if (system.Check(capability) == 0)
            {
                throw KvmSystem.Failure(
                    $"this kernel's KVM cannot emulate interrupt controllers ({name} is missing); use a kernel with KVM's in-kernel irqchip.");
            }
        }
    }
}
