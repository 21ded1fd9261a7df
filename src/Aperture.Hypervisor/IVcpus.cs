using Aperture.Hypervisor.X86;
using Aperture.Memory;

namespace Aperture.Hypervisor;

/// <summary>All vCPUs of a VM. Thread-safe. As a barrier it keeps them out of the guest while memory slots change.</summary>
public interface IVcpus : IViewBarrier
{
    /// <summary>
    /// Puts every vCPU back into the processor's reset state, then the boot processor into <paramref name="boot"/>; the others wait to be started by it.
    /// </summary>
    /// <exception cref="InvalidOperationException">Not stopped.</exception>
    /// <exception cref="ApertureException">The host refused a register.</exception>
    void Reset(BootState boot);

    /// <summary>Lets all vCPUs run.</summary>
    /// <exception cref="InvalidOperationException">They are not all stopped.</exception>
    void Resume();

    /// <summary>
    /// Asks all vCPUs to stop and returns at once; from any thread, a handler's too: then that vCPU does not enter the guest again.
    /// False when it was asked before.
    /// </summary>
    bool RequestStop();

    /// <summary>Stops all vCPUs and waits until each is out of the guest and out of its handler. Call it with no lock held that a handler takes.</summary>
    /// <exception cref="InvalidOperationException">Called on a vCPU's thread, which would wait for itself.</exception>
    void Stop();
}
