using Aperture.Linux;

namespace Aperture.Memory;

/// <summary>
/// Takes a block's pages from the host on threads of their own, for memory that is pinned soon anyway: pinning then finds them there. The host clears each page
/// it gives, which for a large guest is most of its start, and a start with assigned devices has pauses to do it in, while the devices reset. What the host
/// refuses is not told here; whoever needs the page learns it. Contents stay. Dispose it before the block: that waits until no thread touches it.
/// </summary>
public sealed class RamPopulation : IDisposable
{
    // The address space is locked against new mappings while a piece is taken, so pieces are small enough to wait for.
    private const ulong Piece = 16UL << 20;
    private const ulong BytesPerThread = 256UL << 20;
    private const int MostThreads = 8;

    private readonly RamBlock _block;
    private readonly Thread[] _threads;

    // Interlocked by the threads, which share the pieces out by it.
    private long _next;

    // Written by Dispose and by a thread that was refused; read by all before each piece.
    private volatile bool _stopped;

    /// <summary>Starts taking the pages of <paramref name="block"/>, which is not a foreign one.</summary>
    public RamPopulation(RamBlock block)
    {
        ArgumentNullException.ThrowIfNull(block);
        ArgumentOutOfRangeException.ThrowIfEqual(block.IsForeign, true, nameof(block));
        _block = block;
        ulong threads = Math.Min(block.Size / BytesPerThread + 1, (ulong)Math.Min(Environment.ProcessorCount, MostThreads));
        _threads = new Thread[threads];
        for (int i = 0; i < _threads.Length; i++)
        {
            _threads[i] = new Thread(Take) { Name = "ram-populate", IsBackground = true };
            _threads[i].Start();
        }
    }

    /// <summary>Waits until all pages were taken, or one was refused.</summary>
    public void Wait()
    {
        foreach (Thread thread in _threads)
        {
            thread.Join();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopped = true;
        Wait();
    }

    private void Take()
    {
        while (!_stopped)
        {
            ulong offset = (ulong)(Interlocked.Increment(ref _next) - 1) * Piece;
            if (offset >= _block.Size)
            {
                return;
            }

            ulong length = Math.Min(Piece, _block.Size - offset);
            if (MemoryMap.Advise(_block.HostAddress + offset, length, MemoryAdvice.PopulateWrite) != 0)
            {
                _stopped = true;
            }
        }
    }
}
