namespace Aperture.Mediation.Nvme;

/// <summary>
/// An I/O submission queue of the drive and its completion queue, which one guest's commands go through; in memory of the mediator's. Each entry has a page
/// beside it for what the command's own pointers point to. Not thread-safe.
/// </summary>
internal sealed class DriveQueuePair : IDisposable
{
    private const ulong Page = NvmeRegisters.Page;

    private readonly NvmeDrive _drive;
    private readonly DriveMemory _memory;
    private readonly ulong _completions;
    private readonly ulong _pages;
    private int _tail;
    private int _head;
    private bool _phase;
    private bool _rung = true;

    /// <summary>Makes the memory; the drive knows nothing of it yet.</summary>
    /// <param name="drive">The drive.</param>
    /// <param name="number">Number of both queues, from 1; that of the interrupt vector too.</param>
    /// <param name="entries">Entries of each.</param>
    public DriveQueuePair(NvmeDrive drive, int number, int entries)
    {
        (_drive, Number, Entries) = (drive, number, entries);
        _completions = AlignUp((ulong)entries * SubmissionEntry.Length);
        _pages = _completions + AlignUp((ulong)entries * CompletionEntry.Length);
        _memory = new DriveMemory(drive.Addresses, _pages + (ulong)entries * Page);
    }

    /// <summary>Number of both queues and of the vector.</summary>
    public int Number { get; }

    /// <summary>Entries; a queue holds one less.</summary>
    public int Entries { get; }

    /// <summary>The drive has the queues.</summary>
    public bool IsOpen { get; private set; }

    /// <summary>Gives empty queues to the drive; the drive's own answer when it refuses.</summary>
    public NvmeStatus Open()
    {
        _memory.Block.AsSpan(0, (int)_pages).Clear();
        (_tail, _head, _phase, _rung) = (0, 0, true, true);
        NvmeStatus status = _drive.CreateQueues(this, _memory.At(0), _memory.At(_completions));
        IsOpen = status.IsSuccess;
        return status;
    }

    /// <summary>
    /// Takes the queues away from the drive: no command of them is under way when this returns, and none reaches any memory. Completions that came before can
    /// still be taken.
    /// </summary>
    public void Close()
    {
        if (IsOpen)
        {
            IsOpen = false;
            _drive.DeleteQueues(this);
        }
    }

    /// <summary>Where the drive finds the page of an entry.</summary>
    public Iova PageAt(int slot) => _memory.At(_pages + (ulong)slot * Page);

    /// <summary>Writes 8 bytes into the page of an entry, by index.</summary>
    public void WritePage(int slot, int index, ulong value) => _memory.Block.Write(_pages + (ulong)slot * Page + (ulong)index * sizeof(ulong), value);

    /// <summary>Puts a command into the queue, which has room as long as fewer than <see cref="Entries"/> are under way.</summary>
    public void Submit(in SubmissionEntry entry)
    {
        Span<byte> bytes = stackalloc byte[SubmissionEntry.Length];
        entry.Write(bytes);
        _memory.Block.Write((ulong)_tail * SubmissionEntry.Length, bytes);
        _tail = (_tail + 1) % Entries;
        _rung = false;
    }

    /// <summary>Tells the drive of what was submitted.</summary>
    public void Ring()
    {
        if (!_rung)
        {
            _rung = true;
            _drive.RingSubmission(Number, _tail);
        }
    }

    /// <summary>Takes the next completion; false when there is none.</summary>
    public bool TryTake(out CompletionEntry entry)
    {
        ulong at = _completions + (ulong)_head * CompletionEntry.Length;

        // The half with the phase tag first: the rest was written before it (section 4.6).
        ulong high = _memory.Block.Read<ulong>(at + 8);
        if (CompletionEntry.PhaseOf(high) != _phase)
        {
            entry = default;
            return false;
        }

        entry = CompletionEntry.Of(_memory.Block.Read<ulong>(at), high);
        _head++;
        if (_head == Entries)
        {
            (_head, _phase) = (0, !_phase);
        }

        return true;
    }

    /// <summary>Tells the drive what was taken.</summary>
    public void Acknowledge() => _drive.RingCompletion(Number, _head);

    /// <summary>Closes, and lets go of the memory.</summary>
    public void Dispose()
    {
        Close();
        _memory.Dispose();
    }

    private static ulong AlignUp(ulong size) => (size + Page - 1) & ~(Page - 1);
}
