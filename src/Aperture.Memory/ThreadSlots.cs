using System.Runtime.InteropServices;

namespace Aperture.Memory;

/// <summary>
/// One object a thread, made when the thread first asks. What a thread finds here is its own to write, without a lock and without interlocked operations.
/// <para>
/// Threads: the table is replaced as a whole by compare and exchange, so who sees an entry sees all of it. A thread's number is given to another only after
/// the first has ended, so no object ever has two writers, and there are as many as threads were alive at once.
/// </para>
/// </summary>
/// <typeparam name="T">What each thread has.</typeparam>
internal sealed class ThreadSlots<T>
    where T : class, new()
{
    private volatile Entry[] _entries = [];

    /// <summary>The calling thread's object. Allocates once a thread.</summary>
    public T Mine
    {
        get
        {
            int thread = Environment.CurrentManagedThreadId;
            foreach (ref readonly Entry entry in _entries.AsSpan())
            {
                if (entry.Thread == thread)
                {
                    return entry.Slot;
                }
            }

            return Add(thread);
        }
    }

    /// <summary>The sum of <paramref name="part"/> over all threads' objects: exact for threads that stopped, others may be a little ahead.</summary>
    public ulong Sum(Func<T, ulong> part)
    {
        ulong sum = 0;
        foreach (ref readonly Entry entry in _entries.AsSpan())
        {
            sum += part(entry.Slot);
        }

        return sum;
    }

    private T Add(int thread)
    {
        T slot = new();
        while (true)
        {
            Entry[] before = _entries;
#pragma warning disable CS0420 // The exchange is a full barrier; the volatile reads elsewhere pair with it.
            if (Interlocked.CompareExchange(ref _entries, [.. before, new Entry(thread, slot)], before) == before)
#pragma warning restore CS0420
            {
                return slot;
            }
        }
    }

    private readonly record struct Entry(int Thread, T Slot);
}

/// <summary>
/// One thread's accesses to one region. Written by that thread alone with plain additions; whoever sums reads each number whole (64 bits, aligned) and may
/// read an older one. A sum is exact once the writers stopped in a way that orders their last write before it: a join, or vCPUs that were stopped.
/// </summary>
[StructLayout(LayoutKind.Explicit, Size = CacheLine)]
internal sealed class AccessCell
{
    // With the object's header two cells' numbers are never in one line, wherever the collector puts them.
    private const int CacheLine = 64;

    /// <summary>Reads, by the owning thread.</summary>
    [FieldOffset(0)]
    public ulong Reads;

    /// <summary>Writes, by the owning thread.</summary>
    [FieldOffset(8)]
    public ulong Writes;
}
