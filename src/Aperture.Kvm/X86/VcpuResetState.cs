using System.Globalization;
using Aperture.Hypervisor;
using Aperture.Hypervisor.X86;
using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>A vCPU's state as KVM made it, which is the processor's state after power-on (SDM 3A 9.1): what a reset goes back to.</summary>
internal sealed class VcpuResetState : IVcpuState
{
    // IA32_TIME_STAMP_COUNTER: KVM keeps the vCPUs' counters together by what is written here, so a reset leaves it alone.
    private const uint TimeStampCounter = 0x10;

    // IA32_FEATURE_CONTROL: without its VMXON bit a processor is in no VMX operation (SDM 3C 23.7).
    private const uint FeatureControl = 0x3A;

    // IA32_MTRRCAP, whose lowest byte says how many pairs from IA32_MTRR_PHYSBASE0 on there are.
    private const uint MtrrCapabilities = 0xFE;
    private const uint FirstVariableMtrr = 0x200;

    private KvmRegisters _registers;
    private KvmSpecialRegisters _special;
    private KvmMsrEntry[] _msrs = [];
    private byte[]? _nested;
    private byte[]? _fpu;
    private byte[]? _xsave;
    private byte[]? _xcrs;
    private byte[]? _debug;
    private byte[]? _events;
    private byte[]? _lapic;
    private uint? _mpState;

    private delegate void StateCall(SafeFileDescriptor vcpu, Span<byte> state);

    private bool HasLapic => _lapic is not null;

    public static VcpuResetState Save(KvmVm vm, SafeFileDescriptor vcpu, ReadOnlySpan<uint> msrs)
    {
        VcpuResetState state = new()
        {
            _registers = KvmIoctl.GetRegisters(vcpu),
            _special = KvmIoctl.GetSpecialRegisters(vcpu),
            _nested = TakeNested(vm, vcpu),
            _fpu = Take(vcpu, KvmStateSize.Fpu, KvmIoctl.GetFpu),
            _xsave = TakeExtended(vm, vcpu),
            _xcrs = vm.Check(KvmCapability.Xcrs) != 0 ? Take(vcpu, KvmStateSize.Xcrs, KvmIoctl.GetXcrs) : null,
            _debug = vm.Check(KvmCapability.DebugRegisters) != 0 ? Take(vcpu, KvmStateSize.DebugRegisters, KvmIoctl.GetDebugRegisters) : null,
            _events = vm.Check(KvmCapability.VcpuEvents) != 0 ? Take(vcpu, KvmStateSize.VcpuEvents, KvmIoctl.GetVcpuEvents) : null,
            _lapic = vm.HasInterruptControllers ? Take(vcpu, KvmStateSize.Lapic, KvmIoctl.GetLapic) : null,
            _mpState = vm.Check(KvmCapability.MpState) != 0 ? KvmIoctl.GetMpState(vcpu) : null,
        };
        List<KvmMsrEntry> known = new(msrs.Length);
        foreach (uint index in (IEnumerable<uint>)[.. msrs, .. Mtrrs(vcpu)])
        {
            if (index != TimeStampCounter && KvmIoctl.TryGetMsr(vcpu, index, out ulong value))
            {
                known.Add(new KvmMsrEntry { Index = index, Data = value });
            }
        }

        state._msrs = [.. known];
        return state;
    }

    /// <inheritdoc/>
    public void Reset(SafeFileDescriptor vcpu, EntryState? boot)
    {
        if (boot is not (null or BootState))
        {
            throw new ArgumentException("not a PC's state", nameof(boot));
        }

        Restore(vcpu);
        ((BootState?)boot)?.Apply(vcpu, HasLapic);
    }

    /// <inheritdoc/>
    public ulong ProgramCounter(SafeFileDescriptor vcpu) => KvmIoctl.GetRegisters(vcpu).Rip;

    /// <inheritdoc/>
    public string Location(SafeFileDescriptor vcpu)
    {
        KvmSpecialRegisters special = KvmIoctl.GetSpecialRegisters(vcpu);
        ulong rip = KvmIoctl.GetRegisters(vcpu).Rip;
        return string.Create(CultureInfo.InvariantCulture, $" at {special.Cs.Selector:x4}:{rip:x} (linear 0x{special.Cs.Base + rip:x})");
    }

    private void Restore(SafeFileDescriptor vcpu)
    {
        LeaveNested(vcpu);
        KvmIoctl.SetRegisters(vcpu, _registers);

        // The APIC base in these decides how the local APIC's page below is read.
        KvmIoctl.SetSpecialRegisters(vcpu, _special);
        Put(vcpu, _fpu, KvmIoctl.SetFpu);
        Put(vcpu, _xsave, KvmIoctl.SetXsave);
        Put(vcpu, _xcrs, KvmIoctl.SetXcrs);
        Put(vcpu, _debug, KvmIoctl.SetDebugRegisters);
        foreach (KvmMsrEntry msr in _msrs)
        {
            // Some registers of the list are read-only; those cannot have changed.
            _ = KvmIoctl.TrySetMsr(vcpu, msr.Index, msr.Data);
        }

        if (_events is not null)
        {
            // A system management interrupt that KVM has only noted becomes one of the events when they are read, and is then overwritten with them.
            _ = Take(vcpu, KvmStateSize.VcpuEvents, KvmIoctl.GetVcpuEvents);
        }

        Put(vcpu, _events, KvmIoctl.SetVcpuEvents);
        Put(vcpu, _lapic, KvmIoctl.SetLapic);
        if (_mpState is { } state)
        {
            KvmIoctl.SetMpState(vcpu, state);
        }
    }

    // Before any register: a guest that is a hypervisor may be inside its own guest, whose registers those below would then be, until KVM leaves it and
    // overwrites them; and in VMX operation CR4.VMXE cannot be cleared (SDM 3C 23.8). Where neither call is known there is no such guest.
    private void LeaveNested(SafeFileDescriptor vcpu)
    {
        _ = _nested is not null && KvmIoctl.TrySetNestedState(vcpu, _nested);
        foreach (KvmMsrEntry msr in _msrs)
        {
            if (msr.Index == FeatureControl)
            {
                // Kernels before the call above leave VMX operation when the host clears this.
                _ = KvmIoctl.TrySetMsr(vcpu, msr.Index, msr.Data);
            }
        }
    }

    private static byte[]? TakeNested(KvmVm vm, SafeFileDescriptor vcpu)
    {
        byte[] state = new byte[KvmStateSize.NestedState];
        return vm.Check(KvmCapability.NestedState) != 0 && KvmIoctl.TryGetNestedState(vcpu, state) ? state : null;
    }

    // Everything that XSAVE keeps, of which the floating-point state is a part: AVX, AVX-512, protection keys.
    private static byte[]? TakeExtended(KvmVm vm, SafeFileDescriptor vcpu)
    {
        if (vm.Check(KvmCapability.Xsave) == 0)
        {
            return null;
        }

        int size = vm.Check(KvmCapability.Xsave2);
        byte[] state = new byte[Math.Max(size, KvmStateSize.Xsave)];
        KvmIoctl.GetXsave(vcpu, state, whole: size != 0);
        return state;
    }

    // The memory type range registers (SDM 3A 12.11.2), which are not in KVM's list of what makes up a guest's state.
    private static IEnumerable<uint> Mtrrs(SafeFileDescriptor vcpu)
    {
        if (!KvmIoctl.TryGetMsr(vcpu, MtrrCapabilities, out ulong capabilities))
        {
            return [];
        }

        const uint DefaultType = 0x2FF;
        IEnumerable<uint> variable = Enumerable.Range(0, 2 * (int)(capabilities & 0xFF)).Select(i => FirstVariableMtrr + (uint)i);
        return [DefaultType, 0x250, 0x258, 0x259, .. Enumerable.Range(0x268, 8).Select(i => (uint)i), .. variable];
    }

    private static byte[] Take(SafeFileDescriptor vcpu, int size, StateCall get)
    {
        byte[] state = new byte[size];
        get(vcpu, state);
        return state;
    }

    private static void Put(SafeFileDescriptor vcpu, byte[]? state, StateCall set)
    {
        if (state is not null)
        {
            set(vcpu, state);
        }
    }
}
