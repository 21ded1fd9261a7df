using Aperture.Linux;

namespace Aperture.Mediation.Nvme;

/// <summary>
/// One guest's controller: its registers, its admin queue, and a thread that hands the drive's completions on. <c>_gate</c> is held over everything that
/// touches a queue, on the session's thread (doorbells, resets, memory that goes) as on the other.
/// <para>
/// Memory that the monitor gives is mapped for the drive by that other thread, with <c>_mapping</c> held and without the gate: the kernel takes each page,
/// which for much memory is longer than a monitor waits for an answer. Commands wait until it is done.
/// </para>
/// </summary>
internal sealed class NvmeSession : IMediatorSession
{
    // How long commands may take that use memory which the monitor takes back; then the drive aborts them.
    private const int DrainMilliseconds = 2_000;

    // How often a drive that owes completions is looked at.
    private const int WatchMilliseconds = 1_000;

    private readonly NvmeDrive _drive;
    private readonly IGuest _guest;
    private readonly IEventSink _events;
    private readonly Lock _gate = new();
    private readonly GuestRam _ram;
    private readonly IoQueue _queue;
    private readonly AdminCommands _admin;
    private readonly EventFd _trigger;
    private readonly EventFd _wake = new();

    // Held while a run is mapped or taken back; before the gate.
    private readonly Lock _mapping = new();
    private readonly Thread _thread;
    private readonly ControllerCapabilities _capabilities;

    // Under the gate: the registers, and what follows from them.
    private ControllerConfiguration _configuration;
    private uint _adminAttributes;
    private ulong _adminSubmissionQueue;
    private ulong _adminCompletionQueue;
    private GuestSubmissionQueue? _submissions;
    private GuestCompletionQueue? _completions;
    private bool _isReady;
    private bool _isFatal;
    private bool _isMaster;
    private bool _ends;
    private ApertureException? _failure;

    /// <summary>A guest came to the place of a share.</summary>
    public NvmeSession(NvmePlace place, NvmeDrive drive, uint space, IGuest guest, IEventSink events)
    {
        (_drive, _guest, _events) = (drive, guest, events);
        _ram = new GuestRam(guest, drive.Addresses);
        _queue = new IoQueue(guest, _ram, new CommandTranslator(drive.Identity, space, place.Share, _ram), place.Pair);
        _admin = new AdminCommands(new GuestIdentity(drive.Identity, place.Share), _ram, _queue, place.Pair.Entries);
        _capabilities = ControllerCapabilities.Mediated(place.Pair.Entries);
        _trigger = drive.TriggerOf(place.Pair.Number);
        _thread = new Thread(HandOn) { IsBackground = true, Name = $"nvme {guest.Name}" };
        _thread.Start();
    }

    /// <inheritdoc/>
    public ulong Read(int bar, ulong offset, int size)
    {
        ulong word = offset & ~7UL;
        ulong value;
        lock (_gate)
        {
            CheckFailure();
            value = (uint)word switch
            {
                NvmeRegisters.Capabilities => _capabilities.Raw,
                NvmeRegisters.Version => NvmeRegisters.Version14,
                NvmeRegisters.Configuration & ~7u => (ulong)_configuration.Raw << 32,
                NvmeRegisters.Status & ~7u => (ulong)Status() << 32,
                NvmeRegisters.AdminQueueAttributes & ~7u => (ulong)_adminAttributes << 32,
                NvmeRegisters.AdminSubmissionQueue => _adminSubmissionQueue,
                NvmeRegisters.AdminCompletionQueue => _adminCompletionQueue,
                _ => 0,
            };
        }

        value >>= (int)(8 * (offset - word));
        return size == 8 ? value : value & (1UL << 8 * size) - 1;
    }

    /// <inheritdoc/>
    public void Write(int bar, ulong offset, int size, ulong value)
    {
        // Registers are of 32 and 64 bits, and to write less of one does nothing (section 3.1).
        if (size < 4)
        {
            return;
        }

        lock (_gate)
        {
            CheckFailure();
            WriteWord((uint)offset, (uint)value);
            if (size == 8)
            {
                WriteWord((uint)offset + 4, (uint)(value >> 32));
            }
        }
    }

    /// <inheritdoc/>
    public void BusMasterChanged(bool enabled)
    {
        lock (_gate)
        {
            SetMaster(enabled);
        }
    }

    /// <inheritdoc/>
    public void MemoryAdded(AddressRange range, HostAddress? host, bool writable)
    {
        lock (_gate)
        {
            _ram.Add(range, host, writable);
        }

        _wake.Signal();
    }

    /// <inheritdoc/>
    public void MemoryRemoved(AddressRange range)
    {
        lock (_mapping)
        {
            RemoveMemory(range);
        }
    }

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            ResetController();
            _isMaster = false;
            (_adminAttributes, _adminSubmissionQueue, _adminCompletionQueue) = (0, 0, 0);
            _configuration = default;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _ends = true;
        }

        _wake.Signal();
        _thread.Join();
        _wake.Dispose();
        lock (_gate)
        {
            ResetController();
        }
    }

    private void RemoveMemory(AddressRange range)
    {
        lock (_gate)
        {
            // No command of this guest is with the drive while its memory goes.
            if (!_queue.Drain(DrainMilliseconds))
            {
                _queue.Suspend();
            }

            _ram.Remove(range);
            if (_isMaster && !_queue.TryResume())
            {
                _isFatal = true;
            }

            Run();
        }
    }

    private uint Status() => (_isReady ? ControllerStatus.Ready : 0)
        | (_isFatal || _drive.IsDead ? ControllerStatus.Fatal : 0)
        | (_configuration.IsShuttingDown ? ControllerStatus.ShutdownComplete : 0);

    private void WriteWord(uint offset, uint value)
    {
        switch (offset)
        {
            case NvmeRegisters.Configuration:
                Configure(new ControllerConfiguration(value));
                break;
            case NvmeRegisters.AdminQueueAttributes:
                _adminAttributes = value & 0x0FFF_0FFF;
                break;
            case NvmeRegisters.AdminSubmissionQueue:
                _adminSubmissionQueue = _adminSubmissionQueue >> 32 << 32 | value & ~0xFFFu;
                break;
            case NvmeRegisters.AdminSubmissionQueue + 4:
                _adminSubmissionQueue = (uint)_adminSubmissionQueue | (ulong)value << 32;
                break;
            case NvmeRegisters.AdminCompletionQueue:
                _adminCompletionQueue = _adminCompletionQueue >> 32 << 32 | value & ~0xFFFu;
                break;
            case NvmeRegisters.AdminCompletionQueue + 4:
                _adminCompletionQueue = (uint)_adminCompletionQueue | (ulong)value << 32;
                break;
            default:
                Ring(offset, value);
                break;
        }
    }

    // Section 3.1.24: no stride.
    private void Ring(uint offset, uint value)
    {
        switch (offset)
        {
            case NvmeRegisters.Doorbells:
                _submissions?.SetTail(value);
                break;
            case NvmeRegisters.Doorbells + 4:
                _completions?.SetHead(value);
                break;
            case NvmeRegisters.Doorbells + 8 * GuestIdentity.IoQueue:
                _queue.Submissions?.SetTail(value);
                break;
            case NvmeRegisters.Doorbells + 8 * GuestIdentity.IoQueue + 4:
                _queue.Completions?.SetHead(value);
                break;
            default:
                return;
        }

        Run();
    }

    private void Configure(ControllerConfiguration value)
    {
        bool starts = value.IsEnabled && !_configuration.IsEnabled;
        bool stops = !value.IsEnabled && _configuration.IsEnabled;
        _configuration = value;
        if (stops)
        {
            ResetController();
        }

        if (!starts)
        {
            return;
        }

        CheckAdminQueues();
        int submissions = (int)(_adminAttributes & 0xFFF) + 1;
        int completions = (int)(_adminAttributes >> 16) + 1;
        if (!value.IsSupported || !value.HasEntrySizes || submissions < 2 || completions < 2 || _drive.IsDead)
        {
            _isFatal = true;
            return;
        }

        _submissions = new GuestSubmissionQueue(new GuestAddress(_adminSubmissionQueue), submissions);
        _completions = new GuestCompletionQueue(new GuestAddress(_adminCompletionQueue), completions, 0, interrupts: true);
        _isReady = true;
    }

    // A monitor that does not share its guest's memory can never use the drive, which its user should hear of.
    private void CheckAdminQueues()
    {
        if (_ram.IsUnshared(new GuestAddress(_adminSubmissionQueue)) || _ram.IsUnshared(new GuestAddress(_adminCompletionQueue)))
        {
            throw new ApertureException(
                $"the monitor of {_guest.Name} gave its guest's memory without a descriptor, so that the drive {_drive.Name} cannot reach it; have it share "
                    + "the memory (--memory shared=on; with QEMU memory-backend-memfd,share=on)",
                ApertureException.HostFailure);
        }
    }

    private void SetMaster(bool enabled)
    {
        _isMaster = enabled;
        if (!enabled)
        {
            _queue.Suspend();
        }
        else if (!_queue.TryResume())
        {
            _isFatal = true;
        }

        Run();
    }

    // Section 7.3.2: queues are gone, the admin queue's registers stay.
    private void ResetController()
    {
        _queue.Reset();
        _admin.Reset();
        (_submissions, _completions) = (null, null);
        (_isReady, _isFatal) = (false, false);
    }

    // As far as both queues go. Without bus mastering the guest's memory is out of reach, and everything waits.
    private void Run()
    {
        if (_isMaster && !_isFatal && !_drive.IsDead && _isReady && _ram.IsMapped)
        {
            bool hasMore = false;
            _isFatal = !RunAdmin() || !_queue.Run(out hasMore);
            if (hasMore)
            {
                _wake.Signal();
            }
        }
    }

    private bool RunAdmin()
    {
        if (_submissions is not { } submissions || _completions is not { } completions)
        {
            return true;
        }

        bool there = true;
        bool some = false;
        while (there && submissions.Head != submissions.Tail && !completions.IsFull)
        {
            there = submissions.TryFetch(_ram, out SubmissionEntry command);
            if (there && _admin.Execute(command, out NvmeStatus status, out uint result))
            {
                there = completions.TryPost(_ram, new CompletionEntry(result, (ushort)submissions.Head, 0, command.Id, status));
                some = true;
            }
        }

        if (some)
        {
            _guest.RaiseMsix(completions.Vector);
        }

        return there;
    }

    // On a thread of the session's.
    private void HandOn()
    {
        Span<PollItem> items = [new PollItem(_trigger.Descriptor, PollEvents.Readable), new PollItem(_wake.Descriptor, PollEvents.Readable)];
        try
        {
            bool ends;
            do
            {
                int ready = Poll.Wait(items, WatchMilliseconds);
                if (items[0].Seen != PollEvents.None)
                {
                    _ = _trigger.TryTake(out _);
                }

                if (items[1].Seen != PollEvents.None)
                {
                    _ = _wake.TryTake(out _);
                    while (MapNext())
                    {
                        // Each run takes the kernel its time, and may be taken back in between.
                    }
                }

                lock (_gate)
                {
                    ends = _ends;
                    if (ready == 0 && _queue.UnderWay != 0)
                    {
                        _drive.Check();
                    }

                    Run();
                }
            }
            while (!ends);
        }
        catch (Exception e)
        {
            // A failure of this process ends this guest's controller; the daemon and the others go on.
            lock (_gate)
            {
                _isFatal = true;
            }

            _events.Notice("nvme.failed", $"the controller of the guest at {_guest.Name} failed: {e.Message}.");
        }
    }

    // False when there is nothing left to map.
    private bool MapNext()
    {
        lock (_mapping)
        {
            AddressRange range;
            HostAddress host;
            bool writable;
            lock (_gate)
            {
                if (_ends || !_ram.TryNextUnmapped(out range, out host, out writable))
                {
                    return false;
                }
            }

            Iova? iova = null;
            ApertureException? failure = null;
            try
            {
                iova = _drive.Addresses.Map(host, range.Size, writable, $"the memory at {range}");
            }
            catch (ApertureException e)
            {
                failure = e;
            }

            lock (_gate)
            {
                _ram.SetMapped(range, iova);
                _failure ??= failure;
            }

            return true;
        }
    }

    // What went wrong on the other thread ends the session here.
    private void CheckFailure()
    {
        if (_failure is { } failure)
        {
            throw new ApertureException(failure.Message, failure.ExitCode, failure);
        }
    }
}
