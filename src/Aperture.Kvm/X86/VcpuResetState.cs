using Aperture.Linux;
using Aperture.Linux.Kvm;

namespace Aperture.Kvm.X86;

/// <summary>A vCPU's state as KVM made it, which is the processor's state after power-on (SDM 3A 9.1): what a reset goes back to.</summary>
internal sealed class VcpuResetState
{
    // IA32_TIME_STAMP_COUNTER: KVM keeps the vCPUs' counters together by what is written here, so a reset leaves it alone.
    private const uint TimeStampCounter = 0x10;

    private KvmRegisters _registers;
    private KvmSpecialRegisters _special;
    private KvmMsrEntry[] _msrs = [];
    private byte[]? _fpu;
    private byte[]? _xcrs;
    private byte[]? _debug;
    private byte[]? _events;
    private byte[]? _lapic;
    private uint? _mpState;

    private delegate void StateCall(SafeFileDescriptor vcpu, Span<byte> state);

    /// <summary>True when the local APIC is in the kernel.</summary>
    public bool HasLapic => _lapic is not null;

    public static VcpuResetState Save(KvmVm vm, SafeFileDescriptor vcpu, ReadOnlySpan<uint> msrs)
    {
        VcpuResetState state = new()
        {
            _registers = KvmIoctl.GetRegisters(vcpu),
            _special = KvmIoctl.GetSpecialRegisters(vcpu),
            _fpu = Take(vcpu, KvmStateSize.Fpu, KvmIoctl.GetFpu),
            _xcrs = vm.Check(KvmCapability.Xcrs) != 0 ? Take(vcpu, KvmStateSize.Xcrs, KvmIoctl.GetXcrs) : null,
            _debug = vm.Check(KvmCapability.DebugRegisters) != 0 ? Take(vcpu, KvmStateSize.DebugRegisters, KvmIoctl.GetDebugRegisters) : null,
            _events = vm.Check(KvmCapability.VcpuEvents) != 0 ? Take(vcpu, KvmStateSize.VcpuEvents, KvmIoctl.GetVcpuEvents) : null,
            _lapic = vm.HasInterruptControllers ? Take(vcpu, KvmStateSize.Lapic, KvmIoctl.GetLapic) : null,
            _mpState = vm.Check(KvmCapability.MpState) != 0 ? KvmIoctl.GetMpState(vcpu) : null,
        };
        List<KvmMsrEntry> known = new(msrs.Length);
        foreach (uint index in msrs)
        {
            if (index != TimeStampCounter && KvmIoctl.TryGetMsr(vcpu, index, out ulong value))
            {
                known.Add(new KvmMsrEntry { Index = index, Data = value });
            }
        }

        state._msrs = [.. known];
        return state;
    }

    public void Restore(SafeFileDescriptor vcpu)
    {
        KvmIoctl.SetRegisters(vcpu, _registers);

        // The APIC base in these decides how the local APIC's page below is read.
        KvmIoctl.SetSpecialRegisters(vcpu, _special);
        Put(vcpu, _fpu, KvmIoctl.SetFpu);
        Put(vcpu, _xcrs, KvmIoctl.SetXcrs);
        Put(vcpu, _debug, KvmIoctl.SetDebugRegisters);
        foreach (KvmMsrEntry msr in _msrs)
        {
            // Some registers of the list are read-only; those cannot have changed.
            _ = KvmIoctl.TrySetMsr(vcpu, msr.Index, msr.Data);
        }

        Put(vcpu, _events, KvmIoctl.SetVcpuEvents);
        Put(vcpu, _lapic, KvmIoctl.SetLapic);
        if (_mpState is { } state)
        {
            KvmIoctl.SetMpState(vcpu, state);
        }
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
