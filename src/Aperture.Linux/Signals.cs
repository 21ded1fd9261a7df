using System.Runtime.InteropServices;

namespace Aperture.Linux;

/// <summary>
/// Signals between threads without handlers (a managed handler is not async-signal-safe): a thread blocks a real-time signal, another sends it,
/// the first takes it from its pending set. pthread_sigmask(3), tgkill(2), rt_sigtimedwait(2).
/// </summary>
public static partial class Signals
{
    /// <summary>
    /// The signal that pulls a vCPU thread out of the guest: a real-time one (34 to 64 on x86-64 with glibc), away from the first, which .NET's
    /// runtime keeps for itself.
    /// </summary>
    public const int VcpuKick = 44;

    // SIG_BLOCK of asm-generic/signal-defs.h.
    private const int Block = 0;

    /// <summary>The calling thread's id in the kernel (gettid(2)).</summary>
    public static int CurrentThreadId() => GetThreadId();

    /// <summary>Blocks <paramref name="signal"/> on the calling thread.</summary>
    /// <returns>The mask before, as the kernel's 64-bit set: bit n-1 is signal n.</returns>
    /// <exception cref="LinuxException">The number is no signal.</exception>
    public static unsafe ulong BlockOnThisThread(int signal)
    {
        SignalSet wanted = SignalSet.Of(signal);
        SignalSet before = default;

        // SAFETY: both sets are locals of glibc's full size (1024 bits).
        int errno = SetThreadMask(Block, &wanted, &before);
        return errno == 0 ? before.First : throw new LinuxException($"cannot block signal {signal}", errno);
    }

    /// <summary>Sends <paramref name="signal"/> to one thread of this process; false when that thread is gone.</summary>
    public static bool SendToThread(int threadId, int signal) => SendTo(Environment.ProcessId, threadId, signal) == 0;

    /// <summary>Takes one pending <paramref name="signal"/> that the calling thread has blocked; false when none is pending. Never waits.</summary>
    public static unsafe bool TryTake(int signal)
    {
        SignalSet wanted = SignalSet.Of(signal);
        TimeSpec now = default;

        // SAFETY: the set and the zero time are locals; no siginfo is asked for.
        return TimedWait(&wanted, null, &now) == signal;
    }

    [LibraryImport("libc", EntryPoint = "gettid")]
    private static partial int GetThreadId();

    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    private static unsafe partial int SetThreadMask(int how, SignalSet* set, SignalSet* before);

    [LibraryImport("libc", EntryPoint = "tgkill")]
    private static partial int SendTo(int processId, int threadId, int signal);

    [LibraryImport("libc", EntryPoint = "sigtimedwait")]
    private static unsafe partial int TimedWait(SignalSet* set, void* info, TimeSpec* time);

    // sigset_t of glibc: 1024 bits, of which the kernel knows the first 64.
    [StructLayout(LayoutKind.Sequential, Size = 128)]
    internal struct SignalSet
    {
        public ulong First;

        public static SignalSet Of(int signal) => new() { First = 1UL << (signal - 1) };
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct TimeSpec
    {
        public long Seconds;
        public long Nanoseconds;
    }
}
