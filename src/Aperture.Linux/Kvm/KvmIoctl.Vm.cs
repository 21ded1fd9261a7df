using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Aperture.Linux.Kvm;

public static partial class KvmIoctl
{
    // KVM_IOEVENTFD_FLAG_* and KVM_IRQFD_FLAG_* of linux/kvm.h.
    private const uint IoEventDataMatch = 1;
    private const uint IoEventPort = 2;
    private const uint IoEventRemove = 4;
    private const uint IrqfdRemove = 1;
    private const uint IrqfdResample = 2;

    // KVM_PIT_SPEAKER_DUMMY of linux/kvm.h: port 0x61 is answered in the kernel.
    private const uint PitSpeakerDummy = 1;

    /// <summary>KVM_SET_TSS_ADDR (KVM API 4.36): three pages that some processors need outside every slot, below 4 GiB.</summary>
    public static void SetTssAddress(SafeFileDescriptor vm, uint address) =>
        CheckedAt(TryCall(vm, KvmRequest.SetTssAddress, address), "cannot put KVM's task state segment at address", address);

    /// <summary>KVM_SET_IDENTITY_MAP_ADDR (KVM API 4.37): one such page; before the first vCPU.</summary>
    public static void SetIdentityMapAddress(SafeFileDescriptor vm, ulong address) =>
        CheckedAt(TryCall(vm, KvmRequest.SetIdentityMapAddress, ref address), "cannot put KVM's identity map page at address", address);

    /// <summary>KVM_CREATE_IRQCHIP (KVM API 4.24): two PICs, an I/O APIC, and a local APIC in every vCPU made later.</summary>
    public static void CreateIrqchip(SafeFileDescriptor vm) =>
        Checked(TryCall(vm, KvmRequest.CreateIrqchip, 0), "cannot create the in-kernel interrupt controllers");

    /// <summary>KVM_CREATE_PIT2 (KVM API 4.72), with the speaker's port answered too.</summary>
    public static void CreatePit(SafeFileDescriptor vm)
    {
        KvmPitConfig config = new() { Flags = PitSpeakerDummy };
        Checked(TryCall(vm, KvmRequest.CreatePit2, ref config), "cannot create the in-kernel interval timer");
    }

    /// <summary>
    /// KVM_REINJECT_CONTROL (KVM API, capability KVM_CAP_REINJECT_CONTROL): ticks of the interval timer that a slow guest missed are not made up for, as
    /// a real timer does not.
    /// </summary>
    public static void DropMissedPitTicks(SafeFileDescriptor vm)
    {
        // struct kvm_reinject_control: pit_reinject, then 31 reserved bytes.
        Span<byte> control = stackalloc byte[32];
        control.Clear();
        Checked(TryCall(vm, KvmRequest.ReinjectControl, control), "cannot keep the interval timer from making up for missed ticks");
    }

    /// <summary>
    /// KVM_IRQ_LINE (KVM API 4.25) on a raw descriptor that the caller keeps open: sets the level of interrupt input <paramref name="gsi"/>. Allocates nothing;
    /// 0 or minus the errno.
    /// </summary>
    public static unsafe int TrySetIrqLine(int vm, uint gsi, bool asserted)
    {
        // SAFETY: the structure is a local that lives until the call returns, and has the size that the request number carries.
        KvmIrqLevel level = new() { Irq = gsi, Level = asserted ? 1u : 0u };
        int result = IoctlRaw(vm, (nuint)KvmRequest.IrqLine, (nuint)(&level));
        return result >= 0 ? result : -Marshal.GetLastSystemError();
    }

    /// <summary>KVM_REGISTER_COALESCED_MMIO (KVM API 4.116): writes to these addresses go to the ring. 0 or minus the errno.</summary>
    public static int TryCollectWrites(SafeFileDescriptor vm, ulong address, uint size)
    {
        KvmCoalescedZone zone = new() { Address = address, Size = size };
        return TryCall(vm, KvmRequest.CollectMmio, ref zone);
    }

    /// <summary>KVM_UNREGISTER_COALESCED_MMIO: ends it for the same addresses. 0 or minus the errno.</summary>
    public static int TryStopCollecting(SafeFileDescriptor vm, ulong address, uint size)
    {
        KvmCoalescedZone zone = new() { Address = address, Size = size };
        return TryCall(vm, KvmRequest.StopCollectingMmio, ref zone);
    }

    /// <summary>KVM_SIGNAL_MSI (KVM API 4.71) on a raw descriptor that the caller keeps open. Allocates nothing.</summary>
    /// <param name="vm">The VM.</param>
    /// <param name="address">Where the message is written to.</param>
    /// <param name="data">What is written.</param>
    /// <param name="deviceId">Who sends it, where a translation service asks (KVM_MSI_VALID_DEVID).</param>
    /// <returns>Above 0 when delivered, 0 when the guest blocked it, or minus the errno.</returns>
    public static unsafe int TrySignalMsi(int vm, ulong address, uint data, uint? deviceId = null)
    {
        // SAFETY: as above.
        KvmMsi message = new() { AddressLow = (uint)address, AddressHigh = (uint)(address >> 32), Data = data };
        if (deviceId is { } sender)
        {
            message.Flags = KvmArm64.MessageHasDeviceId;
            message.DeviceId = sender;
        }

        int result = IoctlRaw(vm, (nuint)KvmRequest.SignalMsi, (nuint)(&message));
        return result >= 0 ? result : -Marshal.GetLastSystemError();
    }

    /// <summary>KVM_SET_GSI_ROUTING (KVM API 4.52): replaces the whole table.</summary>
    public static void SetGsiRouting(SafeFileDescriptor vm, ReadOnlySpan<KvmIrqRoutingEntry> entries)
    {
        byte[] buffer = new byte[8 + (entries.Length * Unsafe.SizeOf<KvmIrqRoutingEntry>())];
        MemoryMarshal.Write(buffer, (uint)entries.Length);
        MemoryMarshal.AsBytes(entries).CopyTo(buffer.AsSpan(8));
        Checked(TryCall(vm, KvmRequest.SetGsiRouting, buffer), "cannot set the interrupt routes, which number", entries.Length);
    }

    /// <summary>
    /// KVM_IRQFD (KVM API 4.75): signals on <paramref name="trigger"/> raise <paramref name="gsi"/>; with <paramref name="resample"/> level-triggered.
    /// </summary>
    public static void AddIrqfd(SafeFileDescriptor vm, SafeFileDescriptor trigger, uint gsi, SafeFileDescriptor? resample)
    {
        ArgumentNullException.ThrowIfNull(trigger);
        KvmIrqfd irqfd = new()
        {
            Descriptor = trigger.Number,
            Gsi = gsi,
            Flags = resample is null ? 0 : IrqfdResample,
            ResampleDescriptor = resample?.Number ?? 0,
        };
        Checked(TryCall(vm, KvmRequest.Irqfd, ref irqfd), "cannot tie an eventfd to interrupt", gsi);
        GC.KeepAlive(trigger);
        GC.KeepAlive(resample);
    }

    /// <summary>Unties what <see cref="AddIrqfd"/> tied.</summary>
    public static void RemoveIrqfd(SafeFileDescriptor vm, SafeFileDescriptor trigger, uint gsi)
    {
        ArgumentNullException.ThrowIfNull(trigger);
        KvmIrqfd irqfd = new() { Descriptor = trigger.Number, Gsi = gsi, Flags = IrqfdRemove };
        Checked(TryCall(vm, KvmRequest.Irqfd, ref irqfd), "cannot untie an eventfd from interrupt", gsi);
        GC.KeepAlive(trigger);
    }

    /// <summary>
    /// KVM_IOEVENTFD (KVM API 4.59): guest writes of <paramref name="length"/> bytes (0: any) to <paramref name="address"/> signal <paramref name="target"/> in
    /// the kernel; with <paramref name="dataMatch"/> only writes of that value do.
    /// </summary>
    public static void AddIoEventFd(SafeFileDescriptor vm, SafeFileDescriptor target, ulong address, uint length, bool port, ulong? dataMatch) =>
        SetIoEventFd(vm, target, address, length, port, dataMatch, 0, port ? "cannot tie an eventfd to port" : "cannot tie an eventfd to address");

    /// <summary>Unties what <see cref="AddIoEventFd"/> tied, given the same values.</summary>
    public static void RemoveIoEventFd(SafeFileDescriptor vm, SafeFileDescriptor target, ulong address, uint length, bool port, ulong? dataMatch) =>
        SetIoEventFd(vm, target, address, length, port, dataMatch, IoEventRemove, port
            ? "cannot untie an eventfd from port" : "cannot untie an eventfd from address");

    /// <summary>KVM_SET_USER_MEMORY_REGION (KVM API 4.35): 0 or minus the errno.</summary>
    public static int TrySetMemoryRegion(SafeFileDescriptor vm, KvmMemoryRegion region) => TryCall(vm, KvmRequest.SetUserMemoryRegion, ref region);

    /// <summary>KVM_CREATE_VCPU (KVM API 4.7); <paramref name="id"/> is the APIC id too.</summary>
    public static SafeFileDescriptor CreateVcpu(SafeFileDescriptor vm, int id) =>
        new(Checked(TryCall(vm, KvmRequest.CreateVcpu, (nuint)id), "cannot create vCPU", id));

    /// <summary>
    /// KVM_GET_IRQCHIP (KVM API 4.26) into a buffer of <see cref="KvmStateSize.Irqchip"/> bytes; chips 0 and 1 are the PICs, 2 is the I/O APIC.
    /// </summary>
    public static void GetIrqchip(SafeFileDescriptor vm, uint chip, Span<byte> state)
    {
        CheckSize(state, KvmStateSize.Irqchip);
        MemoryMarshal.Write(state, chip);
        Checked(TryCall(vm, KvmRequest.GetIrqchip, state), "cannot read interrupt controller", chip);
    }

    /// <summary>KVM_SET_IRQCHIP (KVM API 4.27) from what <see cref="GetIrqchip"/> gave.</summary>
    public static void SetIrqchip(SafeFileDescriptor vm, Span<byte> state)
    {
        CheckSize(state, KvmStateSize.Irqchip);
        Checked(TryCall(vm, KvmRequest.SetIrqchip, state), "cannot set an interrupt controller");
    }

    /// <summary>KVM_GET_PIT2 (KVM API 4.73) into a buffer of <see cref="KvmStateSize.Pit"/> bytes.</summary>
    public static void GetPit(SafeFileDescriptor vm, Span<byte> state)
    {
        CheckSize(state, KvmStateSize.Pit);
        Checked(TryCall(vm, KvmRequest.GetPit2, state), "cannot read the interval timer");
    }

    /// <summary>KVM_SET_PIT2 (KVM API 4.74) from what <see cref="GetPit"/> gave.</summary>
    public static void SetPit(SafeFileDescriptor vm, Span<byte> state)
    {
        CheckSize(state, KvmStateSize.Pit);
        Checked(TryCall(vm, KvmRequest.SetPit2, state), "cannot set the interval timer");
    }

    private static void CheckSize(ReadOnlySpan<byte> state, int size) => ArgumentOutOfRangeException.ThrowIfNotEqual(state.Length, size);

    private static void SetIoEventFd(
        SafeFileDescriptor vm, SafeFileDescriptor target, ulong address, uint length, bool port, ulong? dataMatch, uint flags, string doing)
    {
        ArgumentNullException.ThrowIfNull(target);
        KvmIoEventFd ioEvent = new()
        {
            DataMatch = dataMatch ?? 0,
            Address = address,
            Length = length,
            Descriptor = target.Number,
            Flags = flags | (port ? IoEventPort : 0) | (dataMatch is null ? 0 : IoEventDataMatch),
        };
        CheckedAt(TryCall(vm, KvmRequest.IoEventFd, ref ioEvent), doing, address);
        GC.KeepAlive(target);
    }
}
