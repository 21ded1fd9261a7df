namespace Aperture.Hypervisor;

/// <summary>
/// What answers one vCPU's exits. Every vCPU, or other source of exits, has an instance of its own, called on one thread only, so lookup caches may live in
/// it; what instances share locks for itself. The access methods are the hot path: they must not throw for anything the guest does, and must not allocate.
/// </summary>
public interface IVcpuExits
{
    /// <summary>What answers instead while the vCPU is in system management mode. Asked for once.</summary>
    IVcpuExits InManagementMode => this;

    /// <summary>A read of <paramref name="size"/> (1, 2 or 4) bytes from <paramref name="port"/>; the value is taken at that width.</summary>
    uint PortRead(ushort port, int size);

    /// <summary>A write of the low <paramref name="size"/> (1, 2 or 4) bytes of <paramref name="value"/> to <paramref name="port"/>.</summary>
    void PortWrite(ushort port, int size, uint value);

    /// <summary>
    /// A read of <paramref name="size"/> (1, 2, 4 or 8) bytes at <paramref name="address"/>, little-endian; the value is taken at that width. Accesses of
    /// other widths (what is left of one that crosses a page) arrive as several of these.
    /// </summary>
    ulong MmioRead(GuestAddress address, int size);

    /// <summary>
    /// A write of the low <paramref name="size"/> (1, 2, 4 or 8) bytes of <paramref name="value"/> at <paramref name="address"/>, little-endian; zero-extended.
    /// </summary>
    void MmioWrite(GuestAddress address, int size, ulong value);

    /// <summary>The vCPU cannot go on by itself. May allocate; rare.</summary>
    /// <returns>What the vCPU does next.</returns>
    VcpuAction Stopped(VcpuStop stop);
}

/// <summary>What a vCPU does after <see cref="IVcpuExits.Stopped"/>.</summary>
public enum VcpuAction : byte
{
    /// <summary>Stays outside the guest until the group is stopped and resumed (<see cref="IVcpus.Stop"/>, <see cref="IVcpus.Resume"/>).</summary>
    Park,

    /// <summary>Enters the guest again.</summary>
    Continue,
}

/// <summary>Why a vCPU cannot go on by itself.</summary>
public enum VcpuStopKind : byte
{
    /// <summary>HLT, on a VM without in-kernel interrupt controllers; <see cref="VcpuAction.Continue"/> goes on after the instruction.</summary>
    Halt,

    /// <summary>A triple fault: a PC resets itself.</summary>
    Shutdown,

    /// <summary>The guest told the hypervisor of a crash, or something else of the system (KVM: KVM_EXIT_SYSTEM_EVENT).</summary>
    SystemEvent,

    /// <summary>The guest asked the hypervisor for power-off (PSCI SYSTEM_OFF).</summary>
    PowerOff,

    /// <summary>The guest asked the hypervisor for a reset (PSCI SYSTEM_RESET).</summary>
    Reset,

    /// <summary>
    /// The guest touched a device by an instruction of which the processor does not tell the access: a pair, a write-back, a vector (KVM: KVM_EXIT_ARM_NISV).
    /// </summary>
    UndecodedAccess,

    /// <summary>The processor refused the guest's state (KVM: KVM_EXIT_FAIL_ENTRY).</summary>
    FailedEntry,

    /// <summary>The hypervisor could not go on, most often because it cannot emulate an instruction (KVM: KVM_EXIT_INTERNAL_ERROR).</summary>
    InternalError,

    /// <summary>The host could not run the vCPU.</summary>
    HostError,

    /// <summary>
    /// The guest touched memory that the host cannot provide (KVM: KVM_RUN answers EFAULT, with no address): a page of a device's BAR that the device's driver
    /// has not. The instruction was not carried out; <see cref="VcpuAction.Continue"/> carries it out again.
    /// </summary>
    MemoryFault,

    /// <summary>An exit that this monitor does not know.</summary>
    UnknownExit,

    /// <summary>A handler threw: a fault of this program, never of the guest.</summary>
    HandlerFault,
}

/// <summary>A vCPU that cannot go on by itself.</summary>
/// <param name="Kind">Why.</param>
/// <param name="Vcpu">Its index.</param>
/// <param name="Sentence">One sentence for people, with what the hypervisor told.</param>
public sealed record VcpuStop(VcpuStopKind Kind, int Vcpu, string Sentence);
