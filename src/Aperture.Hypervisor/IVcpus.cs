using Aperture.Memory;

namespace Aperture.Hypervisor;

/// <summary>All vCPUs of a VM. Thread-safe. As a barrier it keeps them out of the guest while memory slots change.</summary>
public interface IVcpus : IViewBarrier
{
    /// <summary>
    /// Puts every vCPU back into the processor's reset state, then the boot processor into <paramref name="boot"/>; the others wait to be started by it.
    /// </summary>
    /// <exception cref="InvalidOperationException">Not stopped.</exception>
    /// <exception cref="ArgumentException"><paramref name="boot"/> is of another architecture.</exception>
    /// <exception cref="ApertureException">The host refused a register.</exception>
    void Reset(EntryState boot);

    /// <summary>
    /// Raises a system management interrupt: at all vCPUs, or at the one whose exit the calling thread answers (on another thread: the boot processor). Each
    /// takes it before its next instruction. Any thread, with any lock held; without such a mode it does nothing.
    /// </summary>
    void RaiseSmi(bool all)
    {
    }

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
