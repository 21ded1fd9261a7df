using Aperture.Linux;

namespace Aperture.Memory.Faulting;

/// <summary>
/// A range of this process's addresses, for a memory slot, of which nothing is there at first: a guest's touch of a page is answered by whoever owns the
/// memory, and what was granted can be taken back at any moment. This process itself must never touch it.
/// <para>
/// The range is private memory that is registered with a userfaultfd. A grant moves a mapping of its source over the pages; a revocation moves pages of a
/// registered spare over them, so that the next touch faults again. Both happen in one step of the kernel. <c>_gate</c> makes grants and revocations come one
/// after the other; the thread that reads the userfaultfd, for which a revocation waits, never takes it.
/// </para>
/// </summary>
public sealed class FaultingMemory : IDisposable
{
    /// <summary>Bytes of a page.</summary>
    public const ulong Page = 4096;

    private readonly FaultPager _pager;
    private readonly IFaultAnswerer _answerer;
    private readonly Lock _gate = new();
    private readonly GrantRuns _runs = new();
    private readonly RefusedPages _refused = new();

    // The sources by number; whoever grants closes them.
    private readonly Dictionary<ulong, SafeFileDescriptor> _files = [];
    private readonly HostAddress _spare;
    private readonly int _mostRuns;
    private FaultCounts _counts;
    private bool _disposed;

    // True once the kernel did not take pages back: nothing of the range can be touched from then on.
    private bool _closed;

    // Written under the gate; a hint elsewhere.
    private volatile int _refusedCount;

    internal FaultingMemory(FaultPager pager, string name, ulong size, HostAddress address, HostAddress spare, IFaultAnswerer answerer, int mostRuns)
    {
        (_pager, Name, Size, Address, _spare, _answerer, _mostRuns) = (pager, name, size, address, spare, answerer, mostRuns);
    }

    /// <summary>What messages call it.</summary>
    public string Name { get; }

    /// <summary>Bytes; whole pages.</summary>
    public ulong Size { get; }

    /// <summary>Where it starts in this process.</summary>
    public HostAddress Address { get; }

    /// <summary>What happened so far.</summary>
    public FaultCounts Counts
    {
        get
        {
            lock (_gate)
            {
                return _counts;
            }
        }
    }

    /// <summary>What is in place, by offset. A snapshot.</summary>
    public IReadOnlyList<GrantRun> Runs
    {
        get
        {
            lock (_gate)
            {
                return _runs.ToArray();
            }
        }
    }

    /// <summary>True once it is gone.</summary>
    public bool IsDisposed
    {
        get
        {
            lock (_gate)
            {
                return _disposed;
            }
        }
    }

    /// <summary>True while pages stand for refused ones.</summary>
    internal bool HasRefused => _refusedCount != 0;

    /// <summary>
    /// Puts pages in place, over whatever is there, and wakes who waits for them. 0, or an errno; then nothing has changed.
    /// </summary>
    public int Grant(ulong offset, ulong size, GrantSource source)
    {
        if (size == 0 || ((offset | size | source.Offset) & (Page - 1)) != 0 || offset > Size || size > Size - offset)
        {
            return Errno.EINVAL;
        }

        // Elsewhere first: what the source refuses it refuses there, and no hole comes to be into which the kernel could map something else.
        int errno = MemoryMap.MapShared(source.File, source.Offset, size, source.IsWritable, out HostAddress made);
        if (errno != 0)
        {
            return errno;
        }

        _ = MemoryMap.Advise(made, size, MemoryAdvice.DoNotFork);
        lock (_gate)
        {
            errno = _disposed || _closed ? Errno.ENODEV : MemoryMap.Move(made, size, Address + offset);
            if (errno == 0)
            {
                _files[source.Number] = source.File;
                _runs.Remove(offset, size, out _, out _);
                _runs.Add(new GrantRun(offset, size, GrantRunKind.Granted, source.Number, source.Offset, source.IsWritable));
                Forget(offset, size);
                _counts = _counts with { Grants = _counts.Grants + 1 };
                while (_runs.Count > _mostRuns)
                {
                    GrantRun oldest = _runs.Oldest();
                    TakeOut(oldest.Offset, oldest.Size);
                }

                _pager.Wake(Address + offset, size);
            }
        }

        if (errno != 0)
        {
            _ = MemoryMap.Unmap(made, size);
        }

        return errno;
    }

    /// <summary>
    /// Takes pages back, whatever is there: when it returns no processor reaches what was granted, and the next touch faults. Any thread but the pager's
    /// reader. What is not inside the memory is left out.
    /// </summary>
    public void Revoke(ulong offset, ulong size)
    {
        ulong first = offset & ~(Page - 1);
        if (first >= Size || size == 0)
        {
            return;
        }

        ulong length = Math.Min(size + (offset - first), Size - first);
        length = length < size ? Size - first : (length + Page - 1) & ~(Page - 1);
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            if (TakeOut(first, length))
            {
                _counts = _counts with { Revocations = _counts.Revocations + 1 };
            }

            _pager.Wake(Address + first, length);
        }
    }

    /// <summary>
    /// The guest deals with whoever answers: what was refused it may have asked for by now, so it is asked again at the next touch. Costs nothing where
    /// nothing is refused.
    /// </summary>
    public void AskAgain()
    {
        if (HasRefused)
        {
            TakeRefused(static refused => refused.TakeEarly());
        }
    }

    /// <summary>
    /// A processor got at a page that the kernel does not let it have, and the kernel does not say which. What its source has lost is taken out, to be asked
    /// for again; otherwise what may only be read becomes a copy for a moment, so that what is written is lost. False when there is neither.
    /// </summary>
    public bool Repair()
    {
        lock (_gate)
        {
            return !_disposed && !_closed && (TakeOutLost() || CopyReadOnly());
        }
    }

    /// <summary>Compares what is granted with what the kernel has mapped: null when they agree, otherwise the first difference in one sentence.</summary>
    public string? Verify()
    {
        lock (_gate)
        {
            return _disposed ? null : GrantCheck.Run(Name, Address, Size, _runs.ToArray());
        }
    }

    /// <summary>Takes everything out of this process. No slot may have it any more. Not while a touch is answered on the same thread.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _ = MemoryMap.Unmap(Address, Size);
            _ = MemoryMap.Unmap(_spare, Size);
        }

        _pager.Remove(this);
    }

    /// <summary>
    /// Makes the two ranges: the memory's own starts where <paramref name="regionOffset"/> says, modulo the largest page that fits its region.
    /// </summary>
    internal static int TryReserve(ulong size, ulong regionOffset, ulong regionSize, out HostAddress address, out HostAddress spare)
    {
        (address, spare) = (default, default);
        ulong alignment = AlignedRoom.AlignmentFor(regionSize);
        if (size == 0 || size % Page != 0 || size > long.MaxValue - alignment)
        {
            return Errno.EINVAL;
        }

        int errno = AlignedRoom.TryTake(size, alignment, regionOffset, usable: true, out address);
        if (errno != 0)
        {
            return errno;
        }

        errno = MemoryMap.MapPrivateMemory(size, 0, out spare);
        if (errno != 0)
        {
            _ = MemoryMap.Unmap(address, size);
        }

        return errno;
    }

    /// <summary>A touch, on the pager's worker.</summary>
    internal void Answer(ulong offset)
    {
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _counts = _counts with { Faults = _counts.Faults + 1 };
            if (_runs.Has(offset))
            {
                // Another processor touched it too, or the message was overtaken.
                _pager.Wake(Address + offset, Page);
                return;
            }
        }

        if (!_answerer.Touched(this, offset))
        {
            Refuse(offset);
        }
    }

    /// <summary>Takes out what was refused long enough ago, on the pager's worker.</summary>
    internal void EndStays()
    {
        if (HasRefused)
        {
            TakeRefused(static refused => refused.TakeDue(Environment.TickCount64));
        }
    }

    private void Refuse(ulong offset)
    {
        bool isFirst = false;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            if (!_runs.Has(offset))
            {
                if (_refused.Count >= RefusedPages.Most)
                {
                    (ulong oldest, ulong size) = _refused.TakeOldest();
                    TakeOut(oldest, size);
                    _pager.Wake(Address + oldest, size);
                }

                if (MemoryMap.ReplaceByOnes(Address + offset, Page) == 0)
                {
                    _runs.Add(new GrantRun(offset, Page, GrantRunKind.Refused, 0, 0, true));
                    _refused.Add(offset, Page, Environment.TickCount64);
                    _refusedCount = _refused.Count;
                }

                isFirst = _counts.Refusals == 0;
                _counts = _counts with { Refusals = _counts.Refusals + 1 };
            }

            // Also where there was no memory for the ones: who waits touches again.
            _pager.Wake(Address + offset, Page);
        }

        if (isFirst)
        {
            _pager.TellOfRefusal(this, offset);
        }
    }

    // With the gate held.
    private bool TakeOutLost()
    {
        bool found = false;
        foreach (GrantRun run in _runs.ToArray())
        {
            if (run.Kind == GrantRunKind.Granted && Length(run.Source) is { } length && run.SourceOffset + run.Size > length)
            {
                ulong kept = length > run.SourceOffset ? length - run.SourceOffset : 0;
                TakeOut(run.Offset + kept, run.Size - kept);
                found = true;
            }
        }

        return found;
    }

    // With the gate held.
    private bool CopyReadOnly()
    {
        bool found = false;
        foreach (GrantRun run in _runs.ToArray())
        {
            if (run.Kind != GrantRunKind.Granted || run.IsWritable || _files[run.Source] is not { IsClosed: false } file
                || MemoryMap.MapCopyOnWrite(file, run.SourceOffset, run.Size, out HostAddress copy) != 0)
            {
                continue;
            }

            if (MemoryMap.Move(copy, run.Size, Address + run.Offset) != 0)
            {
                _ = MemoryMap.Unmap(copy, run.Size);
                continue;
            }

            _runs.Remove(run.Offset, run.Size, out _, out _);
            _runs.Add(run with { Kind = GrantRunKind.Refused, Source = 0, SourceOffset = 0, IsWritable = true });
            _refused.Add(run.Offset, run.Size, Environment.TickCount64);
            found = true;
        }

        _refusedCount = _refused.Count;
        _pager.LookAgain();
        return found;
    }

    // Whole pages that a source has; null where nobody can say.
    private ulong? Length(ulong source) => _files.TryGetValue(source, out SafeFileDescriptor? file) && !file.IsClosed
        && MemoryFile.TryLength(file, out ulong length) == 0 ? (length + Page - 1) & ~(Page - 1) : null;

    private void TakeRefused(Func<RefusedPages, List<(ulong Offset, ulong Size)>> choose)
    {
        lock (_gate)
        {
            foreach ((ulong offset, ulong size) in _disposed ? [] : choose(_refused))
            {
                TakeOut(offset, size);
                _pager.Wake(Address + offset, size);
            }

            _refusedCount = _refused.Count;
        }
    }

    // With the gate held. False when nothing is there.
    private bool TakeOut(ulong offset, ulong size)
    {
        if (!_runs.Remove(offset, size, out ulong first, out ulong end))
        {
            return false;
        }

        Forget(offset, size);
        if (_closed || MemoryMap.MoveAndKeep(_spare, end - first, Address + first) == 0)
        {
            return true;
        }

        // The process has as many mappings as it may. What always works is to let nobody touch any of it.
        _closed = true;
        _ = MemoryMap.Close(Address, Size);
        _pager.TellOfClosing(this);
        return true;
    }

    private void Forget(ulong offset, ulong size)
    {
        _refused.Remove(offset, size);
        _refusedCount = _refused.Count;
    }
}
