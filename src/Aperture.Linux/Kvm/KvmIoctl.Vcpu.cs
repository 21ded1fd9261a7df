using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Aperture.Linux.Kvm;

public static partial class KvmIoctl
{
    /// <summary>
    /// KVM_RUN (KVM API 4.10) on a raw descriptor that the caller keeps open: the thread is in the guest until an exit, a signal or immediate_exit.
    /// 0, or minus the errno (<see cref="Errno.EINTR"/>, <see cref="Errno.EAGAIN"/>: go on).
    /// </summary>
    /// <remarks>
    /// The errno is read from the C library itself and only after a failure, which saves the two calls of SetLastError on every exit. The runtime
    /// keeps errno over everything that it may do in between (garbage collection, first-call fix-ups).
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Run(int vcpu)
    {
        int result = IoctlRaw(vcpu, (nuint)KvmRequest.Run, 0);
        return result >= 0 ? result : -Marshal.GetLastSystemError();
    }

    /// <summary>
    /// KVM_SMI (KVM API 4.96) on a raw descriptor that the caller keeps open: a system management interrupt, taken when the vCPU next enters the guest. 0, or
    /// minus the errno.
    /// </summary>
    public static int TryRaiseSmi(int vcpu)
    {
        int result = IoctlRaw(vcpu, (nuint)KvmRequest.RaiseSmi, 0);
        return result >= 0 ? result : -Marshal.GetLastSystemError();
    }

    /// <summary>KVM_SET_SIGNAL_MASK (KVM API 4.20): the signals blocked while the vCPU runs, bit n-1 for signal n.</summary>
    public static void SetSignalMask(SafeFileDescriptor vcpu, ulong mask)
    {
        Span<byte> buffer = stackalloc byte[12];
        MemoryMarshal.Write(buffer, (uint)sizeof(ulong));
        MemoryMarshal.Write(buffer[4..], mask);
        Checked(TryCall(vcpu, KvmRequest.SetSignalMask, buffer), "cannot set a vCPU's signal mask");
    }

    /// <summary>KVM_GET_REGS (KVM API 4.11).</summary>
    public static KvmRegisters GetRegisters(SafeFileDescriptor vcpu)
    {
        KvmRegisters registers = default;
        Checked(TryCall(vcpu, KvmRequest.GetRegisters, ref registers), "cannot read a vCPU's registers");
        return registers;
    }

    /// <summary>KVM_SET_REGS (KVM API 4.12).</summary>
    public static void SetRegisters(SafeFileDescriptor vcpu, KvmRegisters registers) =>
        Checked(TryCall(vcpu, KvmRequest.SetRegisters, ref registers), "cannot set a vCPU's registers");

    /// <summary>KVM_GET_SREGS (KVM API 4.13).</summary>
    public static KvmSpecialRegisters GetSpecialRegisters(SafeFileDescriptor vcpu)
    {
        KvmSpecialRegisters registers = default;
        Checked(TryCall(vcpu, KvmRequest.GetSpecialRegisters, ref registers), "cannot read a vCPU's special registers");
        return registers;
    }

    /// <summary>KVM_SET_SREGS (KVM API 4.14).</summary>
    public static void SetSpecialRegisters(SafeFileDescriptor vcpu, KvmSpecialRegisters registers) =>
        Checked(TryCall(vcpu, KvmRequest.SetSpecialRegisters, ref registers), "cannot set a vCPU's special registers");

    /// <summary>KVM_GET_MSRS (KVM API 4.18) for one register; false when KVM does not know it.</summary>
    public static bool TryGetMsr(SafeFileDescriptor vcpu, uint index, out ulong value)
    {
        OneMsr one = new() { Count = 1, Entry = new KvmMsrEntry { Index = index } };
        bool known = TryCall(vcpu, KvmRequest.GetMsrs, ref one) == 1;
        value = one.Entry.Data;
        return known;
    }

    /// <summary>KVM_SET_MSRS (KVM API 4.19) for one register; false when KVM does not know it or refuses the value.</summary>
    public static bool TrySetMsr(SafeFileDescriptor vcpu, uint index, ulong value)
    {
        OneMsr one = new() { Count = 1, Entry = new KvmMsrEntry { Index = index, Data = value } };
        return TryCall(vcpu, KvmRequest.SetMsrs, ref one) == 1;
    }

    /// <summary>KVM_SET_CPUID2 (KVM API 4.31 and 4.47); once, before the vCPU first runs.</summary>
    public static void SetCpuid(SafeFileDescriptor vcpu, ReadOnlySpan<KvmCpuidEntry> entries)
    {
        byte[] buffer = new byte[8 + (entries.Length * Unsafe.SizeOf<KvmCpuidEntry>())];
        MemoryMarshal.Write(buffer, (uint)entries.Length);
        MemoryMarshal.AsBytes(entries).CopyTo(buffer.AsSpan(8));
        Checked(TryCall(vcpu, KvmRequest.SetCpuid2, buffer), "cannot set a vCPU's CPUID entries");
    }

    /// <summary>KVM_GET_MP_STATE (KVM API 4.38): 0 runnable, 1 uninitialised, 2 INIT received, 3 halted, 4 SIPI received.</summary>
    public static uint GetMpState(SafeFileDescriptor vcpu)
    {
        uint state = 0;
        Checked(TryCall(vcpu, KvmRequest.GetMpState, ref state), "cannot read a vCPU's multiprocessing state");
        return state;
    }

    /// <summary>KVM_SET_MP_STATE (KVM API 4.39).</summary>
    public static void SetMpState(SafeFileDescriptor vcpu, uint state) =>
        Checked(TryCall(vcpu, KvmRequest.SetMpState, ref state), "cannot set a vCPU's multiprocessing state");

    /// <summary>KVM_GET_FPU (KVM API 4.22) into <see cref="KvmStateSize.Fpu"/> bytes.</summary>
    public static void GetFpu(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.GetFpu, state, KvmStateSize.Fpu, "cannot read a vCPU's floating-point state");

    /// <summary>KVM_SET_FPU (KVM API 4.23) from <see cref="KvmStateSize.Fpu"/> bytes.</summary>
    public static void SetFpu(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.SetFpu, state, KvmStateSize.Fpu, "cannot set a vCPU's floating-point state");

    /// <summary>KVM_GET_LAPIC (KVM API 4.57) into <see cref="KvmStateSize.Lapic"/> bytes.</summary>
    public static void GetLapic(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.GetLapic, state, KvmStateSize.Lapic, "cannot read a vCPU's local APIC");

    /// <summary>KVM_SET_LAPIC (KVM API 4.58) from <see cref="KvmStateSize.Lapic"/> bytes.</summary>
    public static void SetLapic(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.SetLapic, state, KvmStateSize.Lapic, "cannot set a vCPU's local APIC");

    /// <summary>KVM_GET_XCRS (KVM API 4.43) into <see cref="KvmStateSize.Xcrs"/> bytes.</summary>
    public static void GetXcrs(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.GetXcrs, state, KvmStateSize.Xcrs, "cannot read a vCPU's extended control registers");

    /// <summary>KVM_SET_XCRS (KVM API 4.44) from <see cref="KvmStateSize.Xcrs"/> bytes.</summary>
    public static void SetXcrs(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.SetXcrs, state, KvmStateSize.Xcrs, "cannot set a vCPU's extended control registers");

    /// <summary>
    /// KVM_GET_XSAVE2 (KVM API 4.134) into as many bytes as KVM_CAP_XSAVE2 says, or KVM_GET_XSAVE (4.42) into <see cref="KvmStateSize.Xsave"/> bytes.
    /// </summary>
    public static void GetXsave(SafeFileDescriptor vcpu, Span<byte> state, bool whole)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(state.Length, KvmStateSize.Xsave, nameof(state));
        Checked(TryCall(vcpu, whole ? KvmRequest.GetXsave2 : KvmRequest.GetXsave, state), "cannot read a vCPU's extended state");
    }

    /// <summary>KVM_SET_XSAVE (KVM API 4.43) from what <see cref="GetXsave"/> gave.</summary>
    public static void SetXsave(SafeFileDescriptor vcpu, Span<byte> state)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(state.Length, KvmStateSize.Xsave, nameof(state));
        Checked(TryCall(vcpu, KvmRequest.SetXsave, state), "cannot set a vCPU's extended state");
    }

    /// <summary>
    /// KVM_GET_NESTED_STATE (KVM API 4.114) into <see cref="KvmStateSize.NestedState"/> bytes; false when there is more than that, as while the guest
    /// is a hypervisor, or none can be had.
    /// </summary>
    public static bool TryGetNestedState(SafeFileDescriptor vcpu, Span<byte> state)
    {
        const int SizeField = 4;
        CheckSize(state, KvmStateSize.NestedState);
        MemoryMarshal.Write(state[SizeField..], KvmStateSize.NestedState);
        return TryCall(vcpu, KvmRequest.GetNestedState, state) == 0;
    }

    /// <summary>KVM_SET_NESTED_STATE (KVM API 4.115) from what <see cref="TryGetNestedState"/> gave: the guest is no hypervisor any more.</summary>
    public static bool TrySetNestedState(SafeFileDescriptor vcpu, Span<byte> state)
    {
        CheckSize(state, KvmStateSize.NestedState);
        return TryCall(vcpu, KvmRequest.SetNestedState, state) == 0;
    }

    /// <summary>KVM_GET_DEBUGREGS (KVM API 4.33) into <see cref="KvmStateSize.DebugRegisters"/> bytes.</summary>
    public static void GetDebugRegisters(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.GetDebugRegisters, state, KvmStateSize.DebugRegisters, "cannot read a vCPU's debug registers");

    /// <summary>KVM_SET_DEBUGREGS (KVM API 4.34) from <see cref="KvmStateSize.DebugRegisters"/> bytes.</summary>
    public static void SetDebugRegisters(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.SetDebugRegisters, state, KvmStateSize.DebugRegisters, "cannot set a vCPU's debug registers");

    /// <summary>KVM_GET_VCPU_EVENTS (KVM API 4.31) into <see cref="KvmStateSize.VcpuEvents"/> bytes.</summary>
    public static void GetVcpuEvents(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.GetVcpuEvents, state, KvmStateSize.VcpuEvents, "cannot read a vCPU's pending events");

    /// <summary>KVM_SET_VCPU_EVENTS (KVM API 4.32) from <see cref="KvmStateSize.VcpuEvents"/> bytes.</summary>
    public static void SetVcpuEvents(SafeFileDescriptor vcpu, Span<byte> state) =>
        Transfer(vcpu, KvmRequest.SetVcpuEvents, state, KvmStateSize.VcpuEvents, "cannot set a vCPU's pending events");

    /// <summary>KVM_GET_STATS_FD (KVM API 4.133): a file with the vCPU's counters, or null where the kernel has none (before Linux 5.14).</summary>
    public static SafeFileDescriptor? TryGetStatistics(SafeFileDescriptor vcpu)
    {
        int result = TryCall(vcpu, KvmRequest.GetStatisticsFile, 0);
        return result < 0 ? null : new SafeFileDescriptor(result);
    }

    private static void Transfer(SafeFileDescriptor vcpu, KvmRequest request, Span<byte> state, int size, string sentence)
    {
        CheckSize(state, size);
        Checked(TryCall(vcpu, request, state), sentence);
    }

    // struct kvm_msrs with one entry.
    [StructLayout(LayoutKind.Explicit, Size = 24)]
    internal struct OneMsr
    {
        [FieldOffset(0)]
        public uint Count;
        [FieldOffset(8)]
        public KvmMsrEntry Entry;
    }
}
