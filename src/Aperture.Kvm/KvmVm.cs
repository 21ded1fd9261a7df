using Aperture.Hypervisor;
using Aperture.Kvm.X86;
using Aperture.Linux;
using Aperture.Linux.Kvm;
using Aperture.Memory;

namespace Aperture.Kvm;

/// <summary>
/// A virtual machine: memory slots, interrupts, event descriptors, vCPUs. Thread-safe but for <see cref="Memory"/> (one owner at a time) and for
/// being disposed. Dispose the vCPUs first.
/// </summary>
public sealed class KvmVm : IVm, IIoEvents, IDeviceFiles
{
    private const int IoApicPins = 24;

    private readonly KvmSystem _system;
    private readonly KvmVmOptions _options;
    private readonly SafeFileDescriptor _vm;
    private readonly InterruptControllerState? _resetState;
    private readonly KvmInterrupts? _eventInterrupts;
    private readonly Lock _vfioGate = new();
    private SafeFileDescriptor? _vfio;
    private long _droppedMessages;

    // The VM's descriptor as a number, for the calls that every interrupt makes: a handle's reference would be taken and given back each time, interlocked.
    // No descriptor any more from Dispose on, so that a late call is refused and reaches no other file.
    private volatile int _number;

    internal KvmVm(KvmSystem system, KvmVmOptions options)
    {
        _system = system;
        _options = options;
        HasInterruptControllers = options.InterruptControllers;
        if (options.InterruptControllers)
        {
            RequireInterrupts(system);
        }

        _vm = KvmIoctl.CreateVm(system.Device);
        _number = _vm.Number;
        try
        {
            KvmIoctl.SetIdentityMapAddress(_vm, KvmVmOptions.KeptPages.Start.Value);
            KvmIoctl.SetTssAddress(_vm, checked((uint)(KvmVmOptions.KeptPages.Start.Value + 0x1000)));
            Memory = new KvmMemorySlots(_vm);
            ManagementMemory = system.HasManagementMode ? new KvmMemorySlots(_vm, addressSpace: 1) : null;
            PostedWrites = new PostedWrites(_vm);
            Routes = new MsiRoutes(
                options.InterruptControllers ? KvmIoctl.CheckExtension(_vm, KvmCapability.IrqRouting) : 0,
                table => KvmIoctl.SetGsiRouting(_vm, table));
            if (options.InterruptControllers)
            {
                KvmIoctl.CreateIrqchip(_vm);
                KvmIoctl.CreatePit(_vm);

                // Firmware that handles its tick slowly would otherwise get a storm of them and never go on.
                KvmIoctl.DropMissedPitTicks(_vm);
                Routes.ApplyNow();
                _resetState = InterruptControllerState.Save(_vm);
                _eventInterrupts = new KvmInterrupts(this);
            }
        }
        catch
        {
            _vm.Dispose();
            throw;
        }
    }

    /// <summary>The memory slots.</summary>
    public KvmMemorySlots Memory { get; }

    /// <summary>The memory slots of vCPUs in system management mode, a table of its own; null where this KVM has no such mode.</summary>
    public KvmMemorySlots? ManagementMemory { get; }

    /// <summary>Writes that the kernel collects; it can once the vCPUs are made.</summary>
    public PostedWrites PostedWrites { get; }

    /// <summary>The table of interrupt numbers (GSIs) and where they go.</summary>
    public MsiRoutes Routes { get; }

    /// <summary>True when the PICs, the I/O APIC, the local APICs and the interval timer are in the kernel.</summary>
    public bool HasInterruptControllers { get; }

    /// <summary>Messages of <see cref="SignalMsi"/> that no controller took: written elsewhere than <see cref="IsTaken"/> says, or refused by KVM.</summary>
    public long DroppedMessages => Interlocked.Read(ref _droppedMessages);

    IMemorySlotBackend IVm.Slots => Memory;

    IMemorySlotBackend? IVm.ManagementSlots => ManagementMemory;

    IExitRanges? IVm.ExitRanges => null;

    IGuestInterrupts? IVm.EventInterrupts => _eventInterrupts;

    IIoEvents IVm.IoEvents => this;

    IPostedWrites IVm.PostedWrites => PostedWrites;

    IDeviceFiles IVm.DeviceFiles => this;

    internal KvmSystem System => _system;

    internal SafeFileDescriptor Descriptor => _vm;

    /// <summary>KVM_CHECK_EXTENSION on this VM.</summary>
    public int Check(KvmCapability capability) => KvmIoctl.CheckExtension(_vm, capability);

    /// <summary>
    /// Interrupt input <paramref name="gsi"/>: pin 0 to 23 of the I/O APIC, 0 to 15 of the PICs too. One line has one driver; several devices on one
    /// input are combined by the caller.
    /// </summary>
    public IInterruptLine Line(uint gsi)
    {
        RequireControllers();
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(gsi, (uint)IoApicPins);
        return new GsiLine(this, gsi);
    }

    /// <summary>
    /// True when the local APICs take a write to <paramref name="address"/> as an interrupt: 0xFEExxxxx (SDM 3A 11.11.1). KVM looks at the destination in
    /// the address only, so who gives it a message asks here first.
    /// </summary>
    public static bool IsTaken(GuestAddress address) => address.Value >> 20 == 0xFEE;

    /// <summary>Delivers a message signalled interrupt. Thread-safe, does not allocate.</summary>
    /// <returns>False when no controller took it; it is then counted in <see cref="DroppedMessages"/>.</returns>
    public bool SignalMsi(MsiMessage message)
    {
        // 0: delivered to a guest that had it masked or pending already, which is delivery all the same.
        bool taken = IsTaken(message.Address) && KvmIoctl.TrySignalMsi(_number, message.Address.Value, message.Data) >= 0;
        if (!taken)
        {
            Interlocked.Increment(ref _droppedMessages);
        }

        return taken;
    }

    /// <summary>Ties <paramref name="trigger"/> to <paramref name="gsi"/>: a signal on it raises the interrupt in the kernel, without this process.</summary>
    /// <param name="trigger">Signalled by a device.</param>
    /// <param name="gsi">A pin, or a number from <see cref="MsiRoutes.Allocate"/>.</param>
    /// <param name="resample">For level-triggered interrupts: the kernel deasserts at the guest's end-of-interrupt and signals this one.</param>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public void AddIrqfd(EventFd trigger, uint gsi, EventFd? resample = null)
    {
        ArgumentNullException.ThrowIfNull(trigger);
        RequireControllers();
        KvmIoctl.AddIrqfd(_vm, trigger.Descriptor, gsi, resample?.Descriptor);
    }

    /// <summary>Unties what <see cref="AddIrqfd"/> tied.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public void RemoveIrqfd(EventFd trigger, uint gsi)
    {
        ArgumentNullException.ThrowIfNull(trigger);
        KvmIoctl.RemoveIrqfd(_vm, trigger.Descriptor, gsi);
    }

    /// <summary>Guest writes that match <paramref name="match"/> signal <paramref name="target"/> in the kernel and do not exit (KVM API 4.59).</summary>
    /// <exception cref="LinuxException">KVM refused: EEXIST when such a match is tied already, ENOSPC when there are too many.</exception>
    public void AddIoEvent(EventFd target, IoEventMatch match)
    {
        ArgumentNullException.ThrowIfNull(target);
        KvmIoctl.AddIoEventFd(_vm, target.Descriptor, match.Address.Value, (uint)match.Size, match.IsPort, match.Data);
    }

    /// <summary>Unties what <see cref="AddIoEvent"/> tied: the writes exit again.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public void RemoveIoEvent(EventFd target, IoEventMatch match)
    {
        ArgumentNullException.ThrowIfNull(target);
        KvmIoctl.RemoveIoEventFd(_vm, target.Descriptor, match.Address.Value, (uint)match.Size, match.IsPort, match.Data);
    }

    /// <summary>
    /// Tells KVM that the VM uses <paramref name="file"/>, a VFIO group or a device's cdev: caches and interrupts then follow the device. A cdev is told before
    /// it is bound. KVM keeps the file open until <see cref="RemoveVfioFile"/> or the VM's end.
    /// </summary>
    /// <exception cref="LinuxException">KVM refused: EEXIST when it was told already.</exception>
    public void AddVfioFile(SafeFileDescriptor file)
    {
        ArgumentNullException.ThrowIfNull(file);
        lock (_vfioGate)
        {
            KvmIoctl.AddVfioFile(_vfio ??= KvmIoctl.CreateVfioDevice(_vm), file);
        }
    }

    /// <summary>Takes back what <see cref="AddVfioFile"/> told. Does nothing after the VM's end.</summary>
    /// <exception cref="LinuxException">KVM refused: ENOENT when it was never told.</exception>
    public void RemoveVfioFile(SafeFileDescriptor file)
    {
        ArgumentNullException.ThrowIfNull(file);
        lock (_vfioGate)
        {
            if (_vfio is { IsClosed: false })
            {
                KvmIoctl.RemoveVfioFile(_vfio, file);
            }
        }
    }

    /// <summary>Makes vCPUs 0 to <paramref name="count"/> - 1 in the processor's reset state, for somebody to answer. Once per VM.</summary>
    /// <param name="count">1 to 64, and no more than KVM allows.</param>
    /// <param name="cpuid">What CPUID answers; see <see cref="CpuidTable.FromHost"/>.</param>
    /// <exception cref="ApertureException">A bad count, or KVM refused.</exception>
    public PreparedVcpus PrepareVcpus(int count, CpuidTable cpuid)
    {
        ArgumentNullException.ThrowIfNull(cpuid);
        return PreparedVcpus.Create(this, count, cpuid);
    }

    /// <summary>
    /// As <see cref="PrepareVcpus"/>, with their threads, stopped, and <paramref name="exits"/>, which makes the handler of each vCPU, given its index.
    /// </summary>
    /// <exception cref="ApertureException">A bad count, or KVM refused.</exception>
    public VcpuGroup CreateVcpus(int count, CpuidTable cpuid, Func<int, IVcpuExits> exits)
    {
        using PreparedVcpus prepared = PrepareVcpus(count, cpuid);
        return prepared.Begin(exits);
    }

    IExitSource IVm.PrepareExits() => _options.Vcpus is { } vcpus
        ? PrepareVcpus(vcpus.Count, vcpus.Cpuid)
        : throw new InvalidOperationException("the VM was made without saying which vCPUs it has");

    void IMsiSink.Send(Bdf requester, MsiMessage message) => SignalMsi(message);

    void IDeviceFiles.Add(SafeFileDescriptor file) => AddVfioFile(file);

    void IDeviceFiles.Remove(SafeFileDescriptor file) => RemoveVfioFile(file);

    /// <summary>Puts the PICs, the I/O APIC and the interval timer back to their state at power-on; with the vCPUs stopped.</summary>
    public void ResetInterruptControllers() => _resetState?.Restore(_vm);

    /// <inheritdoc/>
    public void Dispose()
    {
        _vfio?.Dispose();
        _number = -1;
        _vm.Dispose();
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

    private void RequireControllers()
    {
        if (!HasInterruptControllers)
        {
            throw new InvalidOperationException("the VM was made without interrupt controllers");
        }
    }

    private sealed class GsiLine(KvmVm vm, uint gsi) : IInterruptLine
    {
        private readonly Lock _order = new();
        private bool _asserted;

        public void Set(bool asserted)
        {
            // The lock keeps two threads' changes in one order here and in the kernel; KVM_IRQ_LINE is a short call.
            lock (_order)
            {
                if (_asserted != asserted)
                {
                    _asserted = asserted;
                    _ = KvmIoctl.TrySetIrqLine(vm._number, gsi, asserted);
                }
            }
        }
    }
}
