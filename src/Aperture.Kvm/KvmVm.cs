using Aperture.Hypervisor;
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
    private readonly KvmSystem _system;
    private readonly VmArchitecture _architecture;
    private readonly SafeFileDescriptor _vm;
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
        _architecture = options.Architecture;
        HasInterruptControllers = options.InterruptControllers;
        _vm = KvmIoctl.CreateVm(system.Device, _architecture.MachineType(system));
        _number = _vm.Number;
        try
        {
            Memory = new KvmMemorySlots(_vm);
            ManagementMemory = system.HasManagementMode ? new KvmMemorySlots(_vm, addressSpace: 1) : null;
            PostedWrites = new PostedWrites(_vm);
            Routes = new MsiRoutes(
                _architecture.Inputs,
                options.InterruptControllers ? KvmIoctl.CheckExtension(_vm, KvmCapability.IrqRouting) : 0,
                table => KvmIoctl.SetGsiRouting(_vm, table));
            _architecture.SetUp(this);
            _eventInterrupts = options.InterruptControllers ? new KvmInterrupts(this) : null;
        }
        catch
        {
            _architecture.Dispose();
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

    /// <summary>True when the interrupt controllers are in the kernel (<see cref="KvmVmOptions.InterruptControllers"/>).</summary>
    public bool HasInterruptControllers { get; }

    /// <summary>Messages of <see cref="SignalMsi"/> that no controller took: written elsewhere than <see cref="Takes"/> says, or refused by KVM.</summary>
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

    internal uint? DeviceId(Bdf requester) => _architecture.DeviceId(requester);

    /// <summary>KVM_CHECK_EXTENSION on this VM.</summary>
    public int Check(KvmCapability capability) => KvmIoctl.CheckExtension(_vm, capability);

    /// <summary>
    /// Interrupt input <paramref name="gsi"/>: pin 0 to 23 of the I/O APIC, 0 to 15 of the PICs too; or a GIC's shared input. One line has one driver; several
    /// devices on one input are combined by the caller.
    /// </summary>
    public IInterruptLine Line(uint gsi)
    {
        RequireControllers();
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(gsi, (uint)_architecture.Inputs.Count);
        return new GsiLine(this, _architecture.Inputs.LineNumber(gsi));
    }

    /// <summary>
    /// True when a controller takes a write to <paramref name="address"/> as an interrupt: at the local APICs' addresses, or at the doorbell of a translation
    /// service.
    /// </summary>
    public bool Takes(GuestAddress address) => _architecture.Takes(address);

    /// <summary>Delivers a message signalled interrupt of <paramref name="requester"/>. Thread-safe, does not allocate.</summary>
    /// <returns>False when no controller took it; it is then counted in <see cref="DroppedMessages"/>.</returns>
    public bool SignalMsi(MsiMessage message, Bdf requester = default)
    {
        // 0: delivered to a guest that had it masked or pending already, which is delivery all the same.
        bool taken = Takes(message.Address) && KvmIoctl.TrySignalMsi(_number, message.Address.Value, message.Data, DeviceId(requester)) >= 0;
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

    IExitSource IVm.PrepareExits() => _architecture.PrepareVcpus(this);

    void IMsiSink.Send(Bdf requester, MsiMessage message) => SignalMsi(message, requester);

    void IDeviceFiles.Add(SafeFileDescriptor file) => AddVfioFile(file);

    void IDeviceFiles.Remove(SafeFileDescriptor file) => RemoveVfioFile(file);

    /// <summary>Puts the interrupt controllers back to their state at power-on; with the vCPUs stopped.</summary>
    public void ResetInterruptControllers() => _architecture.ResetInterruptControllers(this);

    /// <inheritdoc/>
    public void Dispose()
    {
        _vfio?.Dispose();
        _architecture.Dispose();
        _number = -1;
        _vm.Dispose();
    }

    private void RequireControllers()
    {
        if (!HasInterruptControllers)
        {
            throw new InvalidOperationException("the VM was made without interrupt controllers");
        }
    }

    private sealed class GsiLine(KvmVm vm, uint number) : IInterruptLine
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
                    _ = KvmIoctl.TrySetIrqLine(vm._number, number, asserted);
                }
            }
        }
    }
}
