using System.Globalization;
using Aperture.Linux;
using Aperture.Linux.Userfault;

namespace Aperture.Memory.Faulting;

/// <summary>
/// Resolves the touches of some <see cref="FaultingMemory"/>. Three roles, so that none waits for itself: a reader takes messages from the userfaultfd and does
/// nothing else, because a revocation returns only after its message was read; a worker has the touches answered; whoever revokes does so on a thread of its
/// own. Lives until it and the last of its memories are disposed. Thread-safe.
/// </summary>
public sealed class FaultPager : IDisposable
{
    // Each run is a mapping and leaves one behind it; and a process has more than one pager.
    private const int ShareOfMappings = 16;
    private const int DefaultMostMappings = 65_530;

    private readonly UserfaultDescriptor _userfault;
    private readonly IEventSink _events;
    private readonly int _mostRuns;
    private readonly EventFd _stop = new();
    private readonly EventFd _work = new();
    private readonly Thread _reader;
    private readonly Thread _worker;

    // Under its own lock, which the reader takes too, so that nothing else happens with it held: pages that were touched, each once.
    private readonly Lock _queueGate = new();
    private readonly Queue<HostAddress> _queue = [];
    private readonly HashSet<HostAddress> _queued = [];

    // Replaced as a whole under the lock; the worker looks without it.
    private readonly Lock _memoriesGate = new();
    private volatile FaultingMemory[] _memories = [];
    private bool _started;
    private bool _disposed;

    private FaultPager(string name, UserfaultDescriptor userfault, IEventSink events, int mostRuns)
    {
        (Name, _userfault, _events, _mostRuns) = (name, userfault, events, mostRuns);
        _reader = new Thread(Read) { IsBackground = true, Name = $"faults {name}" };
        _worker = new Thread(Work) { IsBackground = true, Name = $"grants {name}" };
    }

    /// <summary>What messages call the device.</summary>
    public string Name { get; }

    /// <summary>
    /// Starts one. Of one memory at most <paramref name="mostRuns"/> are in place (0: a share of the mappings that a process may have); with more the oldest is
    /// taken out, to be asked for again. Null where this process may not have a userfaultfd for the kernel's faults, or the kernel has none; then
    /// <paramref name="whyNot"/> is why, and what to do, as the end of a sentence.
    /// </summary>
    public static FaultPager? TryStart(string name, IEventSink events, out string whyNot, int mostRuns = 0)
    {
        ArgumentNullException.ThrowIfNull(events);
        int errno = UserfaultDescriptor.TryOpen(out UserfaultDescriptor? userfault);
        whyNot = errno switch
        {
            0 => "",
            Errno.EPERM or Errno.EACCES => $"this user may not handle page faults of guests; let it read and write {UserfaultDescriptor.DevicePath}, or set "
                + "vm.unprivileged_userfaultfd to 1, or give the program CAP_SYS_PTRACE",
            Errno.ENOSYS => "this kernel has no userfaultfd; use one with CONFIG_USERFAULTFD",
            _ => $"the kernel did not give a userfaultfd: {MemoryMap.Describe(errno)}",
        };
        return userfault is null ? null : new FaultPager(name, userfault, events, mostRuns > 0 ? mostRuns : MostMappings() / ShareOfMappings);
    }

    /// <summary>
    /// Makes memory of <paramref name="size"/> bytes, of which nothing is there. It starts where <paramref name="regionOffset"/> says, modulo the largest page
    /// that fits a region of <paramref name="regionSize"/> bytes. Disposed by its owner.
    /// </summary>
    /// <exception cref="ApertureException">The kernel refused.</exception>
    public FaultingMemory Make(string name, ulong size, ulong regionOffset, ulong regionSize, IFaultAnswerer answerer)
    {
        ArgumentNullException.ThrowIfNull(answerer);
        int errno = FaultingMemory.TryReserve(size, regionOffset, regionSize, out HostAddress address, out HostAddress spare);
        if (errno == 0)
        {
            errno = Prepare(address, size) is var first && first != 0 ? first : Prepare(spare, size);
            if (errno != 0)
            {
                _ = MemoryMap.Unmap(address, size);
                _ = MemoryMap.Unmap(spare, size);
            }
        }

        if (errno != 0)
        {
            throw new LinuxException($"{name}: the host did not reserve {ByteSize.Format(size)} of addresses", errno);
        }

        FaultingMemory memory = new(this, name, size, address, spare, answerer, _mostRuns);
        lock (_memoriesGate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_started)
            {
                // With the first: a device that grants nothing costs no threads.
                _started = true;
                _reader.Start();
                _worker.Start();
            }

            _memories = [.. _memories, memory];
        }

        return memory;
    }

    /// <summary>Makes no memory any more. The threads end with the last memory that is left.</summary>
    public void Dispose()
    {
        lock (_memoriesGate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            if (_memories.Length != 0)
            {
                return;
            }
        }

        End();
    }

    internal void Remove(FaultingMemory memory)
    {
        lock (_memoriesGate)
        {
            _memories = [.. _memories.Where(each => each != memory)];
            if (!_disposed || _memories.Length != 0)
            {
                return;
            }
        }

        End();
    }

    internal void Wake(HostAddress address, ulong size) => _ = _userfault.Wake(address, size);

    /// <summary>Has the worker look for stays that end.</summary>
    internal void LookAgain() => _work.Signal();

    internal void TellOfRefusal(FaultingMemory memory, ulong offset) => _events.Notice(
        "memory.refused", string.Create(CultureInfo.InvariantCulture,
            $"the guest touched {memory.Name} at 0x{offset:x}, which it was not granted: such accesses read all-ones and lose what they write."),
        json => json.WriteString("memory", memory.Name));

    internal void TellOfClosing(FaultingMemory memory) => _events.Notice(
        "memory.closed", $"pages of {memory.Name} could not be taken back one by one, because this process has as many mappings as it may: all of it is closed "
            + "to the guest; raise vm.max_map_count.",
        json => json.WriteString("memory", memory.Name));

    private static int MostMappings()
    {
        try
        {
            string text = File.ReadAllText("/proc/sys/vm/max_map_count");
            return int.TryParse(text, CultureInfo.InvariantCulture, out int most) && most > 0 ? most : DefaultMostMappings;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return DefaultMostMappings;
        }
    }

    private int Prepare(HostAddress address, ulong size)
    {
        _ = MemoryMap.Advise(address, size, MemoryAdvice.DoNotDump);
        int errno = MemoryMap.Advise(address, size, MemoryAdvice.DoNotFork);
        return errno != 0 ? errno : _userfault.Register(address, size);
    }

    private void Read()
    {
        const int Most = 16;
        Span<UserfaultMessage> messages = stackalloc UserfaultMessage[Most];
        Span<PollItem> items = [new PollItem(_userfault.File, PollEvents.Readable), new PollItem(_stop.Descriptor, PollEvents.Readable)];
        while (true)
        {
            Poll.Wait(items, -1);
            if (items[1].Seen != PollEvents.None)
            {
                return;
            }

            int count = _userfault.Take(messages);
            bool isWork = false;
            for (int i = 0; i < count; i++)
            {
                if (messages[i].Event == UserfaultEvent.PageFault)
                {
                    HostAddress page = new(messages[i].Address.Value & ~(FaultingMemory.Page - 1));
                    lock (_queueGate)
                    {
                        if (_queued.Add(page))
                        {
                            _queue.Enqueue(page);
                            isWork = true;
                        }
                    }
                }
            }

            if (isWork)
            {
                _work.Signal();
            }
        }
    }

    private void Work()
    {
        Span<PollItem> items = [new PollItem(_work.Descriptor, PollEvents.Readable), new PollItem(_stop.Descriptor, PollEvents.Readable)];
        while (true)
        {
            Poll.Wait(items, Array.Exists(_memories, static each => each.HasRefused) ? RefusedPages.Stay : -1);
            if (items[1].Seen != PollEvents.None)
            {
                return;
            }

            _work.TryTake(out _);
            while (TryDequeue(out HostAddress page))
            {
                if (Array.Find(_memories, each => page >= each.Address && page.Value - each.Address.Value < each.Size) is { } memory)
                {
                    memory.Answer(page.Value - memory.Address.Value);
                }
            }

            foreach (FaultingMemory memory in _memories)
            {
                memory.EndStays();
            }
        }
    }

    // Before it is answered: a touch that comes during the answer is another one.
    private bool TryDequeue(out HostAddress page)
    {
        lock (_queueGate)
        {
            return _queue.TryDequeue(out page) && _queued.Remove(page);
        }
    }

    private void End()
    {
        if (_started)
        {
            _stop.Signal();
            _reader.Join();
            _worker.Join();
        }

        _userfault.Dispose();
        _stop.Dispose();
        _work.Dispose();
    }
}
