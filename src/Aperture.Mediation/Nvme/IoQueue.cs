namespace Aperture.Mediation.Nvme;

/// <summary>
/// One guest's I/O queue pair and the drive's behind it: commands are copied over, checked and translated; completions are copied back. A command has a slot,
/// whose number is its id at the drive, from when it is fetched until its completion is in the guest's memory: a guest that takes no completions submits
/// nothing more. Not thread-safe: its session's gate is held.
/// </summary>
internal sealed class IoQueue
{
    private const int MostRounds = 16;

    private static readonly NvmeStatus AbortedByDeletion = new(0x008);

    private readonly IGuest _guest;
    private readonly GuestRam _ram;
    private readonly CommandTranslator _translator;
    private readonly DriveQueuePair _pair;

    // By slot: the guest's own id, and whether the drive has the command.
    private readonly ushort[] _ids;
    private readonly bool[] _isUnderWay;
    private readonly int[] _free;
    private int _freeCount;

    // Slots that are done and have no place in the guest's queue yet, a ring.
    private readonly (int Slot, NvmeStatus Status)[] _done;
    private int _firstDone;
    private int _doneCount;

    /// <summary>Makes it without queues.</summary>
    public IoQueue(IGuest guest, GuestRam ram, CommandTranslator translator, DriveQueuePair pair)
    {
        (_guest, _ram, _translator, _pair) = (guest, ram, translator, pair);
        int slots = pair.Entries - 1;
        _ids = new ushort[slots];
        _isUnderWay = new bool[slots];
        _free = new int[slots];
        _done = new (int, NvmeStatus)[slots];
        FreeAll();
    }

    /// <summary>The guest's submission queue; null when it has none.</summary>
    public GuestSubmissionQueue? Submissions { get; private set; }

    /// <summary>The guest's completion queue; null when it has none.</summary>
    public GuestCompletionQueue? Completions { get; set; }

    /// <summary>Where the guest says instead of by doorbells how far it is; null when it does not.</summary>
    public ShadowDoorbells? Shadow { get; set; }

    /// <summary>How many commands the drive has.</summary>
    public int UnderWay { get; private set; }

    /// <summary>The guest made its submission queue: the drive's pair is made.</summary>
    public NvmeStatus Open(GuestSubmissionQueue submissions)
    {
        NvmeStatus status = _pair.Open();
        Submissions = status.IsSuccess ? submissions : null;
        return status;
    }

    /// <summary>
    /// The drive's pair is taken away; what was under way is done with as aborted (section 5.6). The guest keeps its queues, for <see cref="TryResume"/>.
    /// </summary>
    public void Suspend()
    {
        _pair.Close();
        Take();
        for (int slot = 0; slot < _isUnderWay.Length; slot++)
        {
            if (_isUnderWay[slot])
            {
                Finish(slot, AbortedByDeletion);
            }
        }
    }

    /// <summary>The drive's pair is made again; false when it cannot.</summary>
    public bool TryResume() => Submissions is null || _pair.IsOpen || _pair.Open().IsSuccess;

    /// <summary>The guest deletes its submission queue. False when its memory is gone.</summary>
    public bool Close()
    {
        Suspend();
        bool there = Post();
        Submissions = null;
        FreeAll();
        return there;
    }

    /// <summary>Everything is forgotten, for a reset.</summary>
    public void Reset()
    {
        _pair.Close();
        (Submissions, Completions, Shadow) = (null, null, null);
        FreeAll();
    }

    /// <summary>
    /// Carries on in both directions as far as it goes; false when the guest's memory is not there, which is a fatal error of the controller.
    /// </summary>
    /// <param name="hasMore">
    /// There may be more to do: a guest that changes the doorbells in its memory all the time does not keep its session busy with that alone.
    /// </param>
    public bool Run(out bool hasMore)
    {
        Take();
        bool there = Post();
        hasMore = false;
        for (int round = 0; there && Submissions is { } submissions && _pair.IsOpen; round++)
        {
            there = Shadow is null || Shadow.TryReadTail(_ram, submissions);
            bool some = there && _freeCount > 0 && submissions.Head != submissions.Tail;
            if (!some)
            {
                break;
            }

            if (round == MostRounds)
            {
                hasMore = true;
                break;
            }

            there = Fetch(submissions);
            _pair.Ring();
            there = there && Post();
        }

        return there;
    }

    /// <summary>Waits until the drive has no command of the guest, a time; false when it has still. Nothing new is submitted.</summary>
    public bool Drain(int milliseconds) => NvmeDrive.Until(
        () =>
        {
            Take();
            return UnderWay == 0;
        },
        milliseconds);

    private bool Fetch(GuestSubmissionQueue submissions)
    {
        while (_freeCount > 0 && submissions.Head != submissions.Tail)
        {
            if (!submissions.TryFetch(_ram, out SubmissionEntry entry))
            {
                return false;
            }

            int slot = _free[--_freeCount];
            _ids[slot] = entry.Id;
            NvmeStatus status = _translator.Translate(entry, _pair, slot, out SubmissionEntry command);
            if (status.IsSuccess)
            {
                _isUnderWay[slot] = true;
                UnderWay++;
                _pair.Submit(command);
            }
            else
            {
                Finish(slot, status);
            }
        }

        return true;
    }

    private void Take()
    {
        bool some = false;
        while (_pair.TryTake(out CompletionEntry done))
        {
            some = true;

            // A drive that completes what it was not given, or twice, frees nothing.
            if (done.Id < _isUnderWay.Length && _isUnderWay[done.Id])
            {
                Finish(done.Id, done.Status.ToGuest());
            }
        }

        if (some && _pair.IsOpen)
        {
            _pair.Acknowledge();
        }
    }

    private void Finish(int slot, NvmeStatus status)
    {
        if (_isUnderWay[slot])
        {
            _isUnderWay[slot] = false;
            UnderWay--;
        }

        _done[(_firstDone + _doneCount++) % _done.Length] = (slot, status);
    }

    private bool Post()
    {
        if (Completions is not { } completions || Submissions is not { } submissions || _doneCount == 0)
        {
            return true;
        }

        bool there = Shadow is null || Shadow.TryReadHead(_ram, completions);
        bool some = false;
        while (there && _doneCount > 0 && !completions.IsFull)
        {
            (int slot, NvmeStatus status) = _done[_firstDone];
            _firstDone = (_firstDone + 1) % _done.Length;
            _doneCount--;
            there = completions.TryPost(_ram, new CompletionEntry(0, (ushort)submissions.Head, GuestIdentity.IoQueue, _ids[slot], status));
            _free[_freeCount++] = slot;
            some = true;

            // One that finds no room any more is told of the next head that the guest sets, or sees it now.
            if (there && Shadow is { } shadow && (completions.IsFull || _doneCount == 0))
            {
                there = shadow.TryAwaitHead(_ram, completions, wanted: _doneCount > 0);
            }
        }

        if (some && completions.Vector >= 0)
        {
            _guest.RaiseMsix(completions.Vector);
        }

        return there;
    }

    private void FreeAll()
    {
        (UnderWay, _firstDone, _doneCount, _freeCount) = (0, 0, 0, _free.Length);
        Array.Clear(_isUnderWay);
        for (int i = 0; i < _free.Length; i++)
        {
            _free[i] = i;
        }
    }
}
