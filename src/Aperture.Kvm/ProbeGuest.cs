using System.Diagnostics;
using Aperture.Hypervisor;

namespace Aperture.Kvm;

/// <summary>
/// A guest of a few instructions that shows whether a host's KVM runs 64-bit guests: a processor architecture's probe makes it show a pattern, in a bounded
/// time.
/// </summary>
/// <param name="pattern">What it shows where all is well.</param>
internal abstract class ProbeGuest(ulong pattern) : IVcpuExits, IDisposable
{
    // A good host needs milliseconds, one that is itself emulated and busy most of a second; who does not finish in this time never will.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly ManualResetEventSlim _done = new();

    // Written by the vCPU's thread before the event is set, read after it or after the vCPU has stopped.
    private VcpuStop? _stop;

    /// <summary>What it has shown; written by the vCPU's thread.</summary>
    protected ulong Seen { get; set; }

    /// <summary>Makes the guest, has it run, and judges what it showed.</summary>
    /// <param name="system">KVM.</param>
    /// <param name="elsewhere">What to use where it does not run, as the end of a clause.</param>
    /// <exception cref="ApertureException">KVM refused a part of it.</exception>
    public KvmAbility Run(KvmSystem system, string elsewhere)
    {
        long start = Stopwatch.GetTimestamp();
        bool inTime = Execute(system);
        long milliseconds = (long)Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (Seen == pattern)
        {
            return new KvmAbility(true, true, $"KVM runs 64-bit guests (one ran in {milliseconds} ms).");
        }

        string found = _stop?.Sentence ?? (inTime ? $"it computed 0x{Seen:x}" : $"it did not finish within {Patience.TotalSeconds} s");
        return new KvmAbility(true, false, $"KVM is there but does not run 64-bit guests: a tiny one was started and {found}; use {elsewhere}.");
    }

    /// <inheritdoc/>
    public uint PortRead(ushort port, int size) => uint.MaxValue;

    /// <inheritdoc/>
    public virtual void PortWrite(ushort port, int size, uint value)
    {
    }

    /// <inheritdoc/>
    public ulong MmioRead(GuestAddress address, int size) => ulong.MaxValue;

    /// <inheritdoc/>
    public virtual void MmioWrite(GuestAddress address, int size, ulong value)
    {
    }

    /// <inheritdoc/>
    public VcpuAction Stopped(VcpuStop stop)
    {
        _stop = stop;
        _done.Set();
        return VcpuAction.Park;
    }

    /// <inheritdoc/>
    public void Dispose() => _done.Dispose();

    /// <summary>Makes VM and vCPU and calls <see cref="Wait"/>; true when it ended in time.</summary>
    protected abstract bool Execute(KvmSystem system);

    /// <summary>It has shown all that it will.</summary>
    protected void Finish() => _done.Set();

    /// <summary>Lets it run until it is done, or the time is up; false then.</summary>
    protected bool Wait(VcpuGroup vcpus, EntryState start)
    {
        vcpus.Reset(start);
        vcpus.Resume();
        bool inTime = _done.Wait(Patience);
        vcpus.Stop();
        return inTime;
    }
}
