using Aperture.Hypervisor;
using Aperture.Linux;

namespace Aperture.Kvm;

/// <summary>What of a vCPU is its processor architecture's: the state it is reset to, and how its exits read.</summary>
internal interface IVcpuState
{
    /// <summary>
    /// Puts <paramref name="vcpu"/>, at rest, back into its state after power-on, and from there to <paramref name="boot"/> where one is given.
    /// </summary>
    /// <exception cref="ArgumentException"><paramref name="boot"/> is another architecture's.</exception>
    /// <exception cref="LinuxException">KVM refused a register.</exception>
    void Reset(SafeFileDescriptor vcpu, EntryState? boot);

    /// <summary>Where <paramref name="vcpu"/> is, as the end of a clause: <c> at ...</c>.</summary>
    /// <exception cref="LinuxException">KVM does not tell.</exception>
    string Location(SafeFileDescriptor vcpu);

    /// <summary>The address of the instruction at which <paramref name="vcpu"/> is.</summary>
    /// <exception cref="LinuxException">KVM does not tell.</exception>
    ulong ProgramCounter(SafeFileDescriptor vcpu);
}
