using Aperture.Hypervisor;
using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.Kvm;

/// <summary>
/// All vCPUs of a VM. Made stopped; the machine resets them to a boot state, resumes them, and stops them to reset or to end. Thread-safe.
/// </summary>
public sealed class VcpuGroup : IVcpus, IExits
{
    private readonly EntryGate _gate;
    private readonly Vcpu[] _vcpus;
    private int _disposed;

    internal VcpuGroup(EntryGate gate, Vcpu[] vcpus)
    {
        _gate = gate;
        _vcpus = vcpus;
    }

    /// <summary>The vCPUs by index.</summary>
    public IReadOnlyList<Vcpu> Vcpus => _vcpus;

    IVcpus IExits.Vcpus => this;

    /// <inheritdoc/>
    public long Count => _vcpus.Sum(vcpu => vcpu.ExitCount);

    /// <summary>The kernel's counters of exits and emulated instructions, all vCPUs together; exits that the kernel served are in these too.</summary>
    public IReadOnlyDictionary<string, ulong> HypervisorCounts
    {
        get
        {
            Dictionary<string, ulong> sums = new(StringComparer.Ordinal);
            foreach ((string name, ulong count) in _vcpus.SelectMany(vcpu => vcpu.Statistics))
            {
                if (name.EndsWith("exits", StringComparison.Ordinal) || name == "insn_emulation")
                {
                    sums[name] = sums.GetValueOrDefault(name) + count;
                }
            }

            return sums;
        }
    }

    /// <summary>True from the start, and from a stop's request, to <see cref="Resume"/>.</summary>
    public bool IsStopped => _gate.IsStopped;

    /// <summary>
    /// Puts every vCPU back into the processor's reset state, then vCPU 0 into <paramref name="boot"/>; the others wait to be started by it.
    /// </summary>
    /// <exception cref="InvalidOperationException">Not stopped.</exception>
    /// <exception cref="LinuxException">KVM refused a register.</exception>
    public void Reset(EntryState boot)
    {
        ArgumentNullException.ThrowIfNull(boot);
        if (!_gate.WaitStopped(TimeSpan.Zero))
        {
            throw new InvalidOperationException("vCPUs can be reset only after they have all been stopped");
        }

        foreach (Vcpu vcpu in _vcpus)
        {
            vcpu.Reset(vcpu.Index == 0 ? boot : null);
        }
    }

    /// <inheritdoc/>
    public void RaiseSmi(bool all)
    {
        Vcpu mine = Array.Find(_vcpus, vcpu => vcpu.IsThisThread) ?? _vcpus[0];
        foreach (Vcpu vcpu in _vcpus)
        {
            if (all || vcpu == mine)
            {
                vcpu.NoteSmi();
            }
        }

        // Whoever is in the guest has to come out to take it; one that answers an exit takes it on its way back.
        if ((all && _vcpus.Length > 1) || !mine.IsThisThread)
        {
            PauseOthers().Dispose();
        }
    }

    /// <summary>Lets all vCPUs run.</summary>
    /// <exception cref="InvalidOperationException">They are not all stopped.</exception>
    public void Resume() => _gate.Resume();

    /// <summary>
    /// Asks all vCPUs to stop and returns at once; from any thread, a handler's too: then that vCPU does not enter the guest again.
    /// False when it was asked before.
    /// </summary>
    public bool RequestStop() => _gate.RequestStop();

    /// <summary>Waits until a requested stop is complete: every vCPU is out of the guest and out of its handler. False when the time ran out.</summary>
    /// <exception cref="InvalidOperationException">Called on a vCPU's thread, which would wait for itself.</exception>
    public bool WaitStopped(TimeSpan timeout)
    {
        RefuseVcpuThread();
        return _gate.WaitStopped(timeout);
    }

    /// <summary>Stops all vCPUs and waits for it. Call it with no lock held that a handler takes.</summary>
    /// <exception cref="InvalidOperationException">Called on a vCPU's thread, which would wait for itself.</exception>
    public void Stop()
    {
        RefuseVcpuThread();
        _gate.RequestStop();
        _gate.WaitStopped(Timeout.InfiniteTimeSpan);
    }

    /// <summary>
    /// Keeps every vCPU out of the guest until the result is disposed, for a change of memory slots that a running guest must not see half done. On
    /// return none is in the guest; vCPUs in a handler finish it and wait before they enter again. From any thread; a vCPU's handler may call
    /// it (that vCPU is out already), holds may nest, and several threads may hold at once. Take the lock of what is being changed first.
    /// </summary>
    public VcpuHold PauseOthers() => _gate.Hold();

    IDisposable IViewBarrier.StopVcpus() => PauseOthers();

    /// <summary>Stops the vCPUs and ends their threads. Not on a vCPU's thread.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        RefuseVcpuThread();
        _gate.Close();
        foreach (Vcpu vcpu in _vcpus)
        {
            vcpu.Join();
        }

        // Only now: the writes that the kernel collects are in a page of vCPU 0, which the others read after each exit.
        foreach (Vcpu vcpu in _vcpus)
        {
            vcpu.Dispose();
        }
    }

    internal void Start()
    {
        foreach (Vcpu vcpu in _vcpus)
        {
            vcpu.Start();
        }
    }

    private void RefuseVcpuThread()
    {
        if (Array.Exists(_vcpus, vcpu => vcpu.IsThisThread))
        {
            throw new InvalidOperationException("a vCPU's thread cannot wait for its own stop; request it instead");
        }
    }
}
