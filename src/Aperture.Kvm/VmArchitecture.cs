using Aperture.Linux;

namespace Aperture.Kvm;

/// <summary>
/// What of a VM is its processor architecture's: its machine type, interrupt controllers and vCPUs. One for each VM, chosen with its options
/// (<see cref="KvmVmOptions"/>); it belongs to the VM.
/// </summary>
internal abstract class VmArchitecture : IDisposable
{
    /// <summary>Inputs of the interrupt controllers and what they are to KVM; none without controllers.</summary>
    public abstract InterruptInputs Inputs { get; }

    /// <summary>KVM_CREATE_VM's argument, after a look whether <paramref name="system"/> has all that such a VM needs.</summary>
    /// <exception cref="ApertureException">It has not.</exception>
    public abstract ulong MachineType(KvmSystem system);

    /// <summary>Prepares the VM, which is empty and has its table of routes.</summary>
    /// <exception cref="LinuxException">KVM refused.</exception>
    public abstract void SetUp(KvmVm vm);

    /// <summary>
    /// True when a controller takes a message to <paramref name="address"/> as an interrupt. KVM looks at less of it, so who has a message asks here first.
    /// </summary>
    public abstract bool Takes(GuestAddress address);

    /// <summary>What KVM is told of who sends a message; null where it is told nothing.</summary>
    public abstract uint? DeviceId(Bdf requester);

    /// <summary>Makes the vCPUs that the VM's options ask for, in the processor's reset state.</summary>
    /// <exception cref="ApertureException">A bad count, or KVM refused.</exception>
    public abstract PreparedVcpus PrepareVcpus(KvmVm vm);

    /// <summary>Puts the interrupt controllers back to their state at power-on, with the vCPUs stopped.</summary>
    public abstract void ResetInterruptControllers(KvmVm vm);

    /// <inheritdoc/>
    public abstract void Dispose();
}
