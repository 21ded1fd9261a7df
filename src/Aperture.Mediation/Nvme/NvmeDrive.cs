using Aperture.Assignment;
using Aperture.Linux;

namespace Aperture.Mediation.Nvme;

/// <summary>
/// An NVMe drive that this process has: its admin queue, which only the mediator uses, and an I/O queue pair for each guest. A drive that does not answer an
/// admin command in time, or says that it is broken, is <see cref="IsDead"/> from then on: its DMA is switched off, and no guest's command is carried out any
/// more. Thread-safe but for its making and disposal.
/// </summary>
internal sealed class NvmeDrive : IDisposable
{
    private const ulong Page = NvmeRegisters.Page;
    private const int AdminEntries = 64;
    private const int MostPairEntries = 256;
    private const int FirstPatience = 10_000;

    private readonly HostFunction _function;
    private readonly DriveRegisters _registers;
    private readonly IEventSink _events;
    private readonly Lock _gate = new();
    private readonly EventFd[] _triggers;
    private readonly ControllerCapabilities _capabilities;

    // Submission queue, completion queue, a page for what is identified.
    private readonly DriveMemory _admin;
    private int _tail;
    private int _head;
    private bool _phase = true;
    private ushort _nextId;
    private volatile bool _isDead;

    /// <summary>Takes the drive over, resets it and brings its controller up.</summary>
    /// <param name="function">The drive; disposed with this.</param>
    /// <param name="space">Number of the namespace that is shared.</param>
    /// <param name="pairs">How many queue pairs will be needed.</param>
    /// <param name="events">Who hears when it fails.</param>
    /// <exception cref="ApertureException">It is no drive that can be shared, or does not come up.</exception>
    public NvmeDrive(HostFunction function, uint space, int pairs, IEventSink events)
    {
        (_function, _events) = (function, events);
        _registers = new DriveRegisters(function.Device);
        Addresses = new IovaSpace(function.Iommu);
        _triggers = [];
        DriveMemory? admin = null;
        try
        {
            CheckFunction(pairs);
            if (function.Device.CanReset)
            {
                _ = function.Device.Reset();
            }

            _registers.SetWorking(true);
            _capabilities = _registers.Capabilities;
            CheckCapabilities(pairs);
            _admin = admin = new DriveMemory(Addresses, 3 * Page);
            Enable();
            Identity = Identify(space);
            CheckQueues(pairs);
            _triggers = [.. Enumerable.Range(0, pairs).Select(static _ => new EventFd())];
            if (function.Device.SetTriggers(VfioIrqIndex.Msix, 0, [null, .. _triggers]) is not 0 and int errno)
            {
                throw Refusal($"gives no {pairs + 1} MSI-X vectors: {Errno.Name(errno)}");
            }
        }
        catch
        {
            _registers.SetWorking(false);
            admin?.Dispose();
            Array.ForEach(_triggers, static t => t.Dispose());
            function.Device.Dispose();
            function.Owner.Dispose();
            throw;
        }
    }

    /// <summary>What messages call it.</summary>
    public string Name => _function.Device.Name;

    /// <summary>What it says of itself.</summary>
    public DriveIdentity Identity { get; }

    /// <summary>The addresses that it can use.</summary>
    public IovaSpace Addresses { get; }

    /// <summary>Entries of each queue pair.</summary>
    public int PairEntries => Math.Min(_capabilities.MostEntries, MostPairEntries);

    /// <summary>It carries no command out any more and reaches no memory.</summary>
    public bool IsDead => _isDead;

    /// <summary>How long an admin command may take.</summary>
    public int PatienceMilliseconds { get; init; } = FirstPatience;

    /// <summary>Signalled when the completion queue of a pair has something new.</summary>
    public EventFd TriggerOf(int pair) => _triggers[pair - 1];

    /// <summary>Makes the two queues of a pair (sections 5.3 and 5.4).</summary>
    public NvmeStatus CreateQueues(DriveQueuePair pair, Iova submissions, Iova completions)
    {
        uint numbers = (uint)(pair.Entries - 1) << 16 | (uint)pair.Number;
        lock (_gate)
        {
            SubmissionEntry create = new()
            {
                Opcode = (byte)AdminOpcode.CreateCompletionQueue,
                Prp1 = completions.Value,
                Word10 = numbers,
                Word11 = (uint)pair.Number << 16 | 3,
            };
            NvmeStatus status = Execute(create, out _);
            if (!status.IsSuccess)
            {
                return status;
            }

            create = new SubmissionEntry
            {
                Opcode = (byte)AdminOpcode.CreateSubmissionQueue,
                Prp1 = submissions.Value,
                Word10 = numbers,
                Word11 = (uint)pair.Number << 16 | 1,
            };
            status = Execute(create, out _);
            if (!status.IsSuccess)
            {
                Delete(AdminOpcode.DeleteCompletionQueue, pair.Number);
            }

            return status;
        }
    }

    /// <summary>
    /// Deletes them (sections 5.6 and 5.5): the drive has completed or aborted every command of them before it answers. One that does not is dead, so that no
    /// DMA of theirs is under way when this returns, whatever happens.
    /// </summary>
    public void DeleteQueues(DriveQueuePair pair)
    {
        lock (_gate)
        {
            Delete(AdminOpcode.DeleteSubmissionQueue, pair.Number);
            Delete(AdminOpcode.DeleteCompletionQueue, pair.Number);
        }
    }

    /// <summary>Rings a submission queue's doorbell.</summary>
    public void RingSubmission(int queue, int tail) => _registers.Write32(Doorbell(2 * queue), (uint)tail);

    /// <summary>Rings a completion queue's doorbell.</summary>
    public void RingCompletion(int queue, int head) => _registers.Write32(Doorbell(2 * queue + 1), (uint)head);

    /// <summary>Looks whether the drive itself gave up, or is gone.</summary>
    public void Check()
    {
        if (!_isDead && _registers.Status.IsFatal)
        {
            lock (_gate)
            {
                Die("says that it is broken, or is gone");
            }
        }
    }

    /// <summary>Shuts the drive down and gives it back. Every pair is disposed by then.</summary>
    public void Dispose()
    {
        if (!_isDead)
        {
            _registers.Write32(NvmeRegisters.Configuration, ControllerConfiguration.On.Raw | ControllerConfiguration.NormalShutdown);
            _ = Await(static status => status.IsShutDown, PatienceMilliseconds);
            _registers.Write32(NvmeRegisters.Configuration, 0);
            _ = Await(static status => !status.IsReady, _capabilities.ReadyMilliseconds);
        }

        _registers.SetWorking(false);
        _ = _function.Device.DisableIrqs(VfioIrqIndex.Msix);
        _admin.Dispose();
        Array.ForEach(_triggers, static t => t.Dispose());
        _function.Device.Dispose();
        _function.Owner.Dispose();
    }

    private void CheckFunction(int pairs)
    {
        IVfioDevice device = _function.Device;
        if (device.Regions.Count == 0 || device.Regions[VfioRegionIndex.Bar0] is not { Size: > NvmeRegisters.Doorbells, Readable: true, Writable: true })
        {
            throw Refusal("has no registers of a drive in BAR 0");
        }

        if (device.Irqs.Count <= VfioIrqIndex.Msix || device.Irqs[VfioIrqIndex.Msix].Count <= pairs)
        {
            throw Refusal($"has not the {pairs + 1} MSI-X vectors that {pairs} guests need; share it among fewer");
        }
    }

    private void CheckCapabilities(int pairs)
    {
        if (_capabilities is not { Raw: not ulong.MaxValue, HasNvmCommandSet: true, HasSmallPages: true })
        {
            throw Refusal("is no NVMe controller with pages of 4 KiB");
        }

        if (Doorbell(2 * pairs + 2) > _function.Device.Regions[VfioRegionIndex.Bar0].Size)
        {
            throw Refusal($"has not the doorbells that {pairs} guests need; share it among fewer");
        }
    }

    // Sections 7.3 and 7.6.1.
    private void Enable()
    {
        _registers.Write32(NvmeRegisters.Configuration, 0);
        int most = Math.Max(_capabilities.ReadyMilliseconds, 500);
        if (!Await(static status => !status.IsReady, most))
        {
            throw Refusal("does not stop; reset it, or its host");
        }

        _registers.Write32(NvmeRegisters.AdminQueueAttributes, (AdminEntries - 1) << 16 | (AdminEntries - 1));
        _registers.Write64(NvmeRegisters.AdminSubmissionQueue, _admin.At(0));
        _registers.Write64(NvmeRegisters.AdminCompletionQueue, _admin.At(Page));
        _registers.Write32(NvmeRegisters.Configuration, ControllerConfiguration.On.Raw);
        if (!Await(static status => status.IsReady, most))
        {
            throw Refusal("does not get ready; reset it, or its host");
        }
    }

    private DriveIdentity Identify(uint space)
    {
        byte[] controller = Identify(1, 0);
        byte[] namespaces = Identify(0, space);
        return DriveIdentity.Read(Name, space, controller, namespaces);
    }

    private byte[] Identify(uint structure, uint space)
    {
        lock (_gate)
        {
            SubmissionEntry identify = new()
            {
                Opcode = (byte)AdminOpcode.Identify,
                Namespace = space,
                Prp1 = _admin.At(2 * Page).Value,
                Word10 = structure,
            };
            NvmeStatus status = Execute(identify, out _);
            return status.IsSuccess
                ? _admin.Block.AsSpan(2 * Page, (int)Page).ToArray()
                : throw Refusal($"does not identify {(structure == 1 ? "itself" : $"namespace {space}; nsid= names another")} (status 0x{status.Value:x})");
        }
    }

    // Section 5.21.1.7.
    private void CheckQueues(int pairs)
    {
        lock (_gate)
        {
            uint wanted = (uint)(pairs - 1);
            SubmissionEntry set = new() { Opcode = (byte)AdminOpcode.SetFeatures, Word10 = FeatureIds.NumberOfQueues, Word11 = wanted << 16 | wanted };
            NvmeStatus status = Execute(set, out uint given);
            if (!status.IsSuccess || (given & 0xFFFF) < wanted || given >> 16 < wanted)
            {
                throw Refusal($"has not the {pairs} queue pairs that {pairs} guests need; share it among fewer");
            }
        }
    }

    private void Delete(AdminOpcode opcode, int number)
    {
        NvmeStatus status = Execute(new SubmissionEntry { Opcode = (byte)opcode, Word10 = (uint)number }, out _);
        if (!status.IsSuccess && !_isDead)
        {
            Die($"does not delete a queue (status 0x{status.Value:x})");
        }
    }

    // One command at a time, with the gate held; its completion is waited for by looking, since they are few.
    private NvmeStatus Execute(in SubmissionEntry command, out uint result)
    {
        result = 0;
        if (_isDead)
        {
            return NvmeStatus.InternalError;
        }

        ushort id = _nextId++;
        Span<byte> bytes = stackalloc byte[SubmissionEntry.Length];
        (command with { Id = id }).Write(bytes);
        _admin.Block.Write((ulong)_tail * SubmissionEntry.Length, bytes);
        _tail = (_tail + 1) % AdminEntries;
        _registers.Write32(Doorbell(0), (uint)_tail);
        ulong at = Page + (ulong)_head * CompletionEntry.Length;
        ulong high = 0;
        if (!Until(() => CompletionEntry.PhaseOf(high = _admin.Block.Read<ulong>(at + 8)) == _phase, PatienceMilliseconds))
        {
            Die($"did not answer an admin command within {PatienceMilliseconds} ms");
            return NvmeStatus.InternalError;
        }

        CompletionEntry done = CompletionEntry.Of(_admin.Block.Read<ulong>(at), high);
        _head = (_head + 1) % AdminEntries;
        _phase ^= _head == 0;
        _registers.Write32(Doorbell(1), (uint)_head);
        if (done.Id != id)
        {
            Die("answered an admin command that was not asked");
            return NvmeStatus.InternalError;
        }

        result = done.Result;
        return done.Status;
    }

    // With the gate held, or while nobody else knows the drive.
    private void Die(string why)
    {
        if (_isDead)
        {
            return;
        }

        // Nothing of it is to reach any guest's memory any more, whatever it still does.
        _registers.SetWorking(false);
        _isDead = true;
        _events.Notice("nvme.dead", $"the drive {Name} {why}; its guests find their controllers failed until the mediator is started anew.");
    }

    private uint Doorbell(int index) => NvmeRegisters.Doorbells + (uint)index * _capabilities.DoorbellStride;

    private bool Await(Func<ControllerStatus, bool> reached, int milliseconds) => Until(() => reached(_registers.Status), milliseconds);

    /// <summary>Looks until something is reached, a time; false when it is not.</summary>
    internal static bool Until(Func<bool> reached, int milliseconds)
    {
        long deadline = Environment.TickCount64 + milliseconds;
        SpinWait spin = default;
        while (!reached())
        {
            if (Environment.TickCount64 > deadline)
            {
                return false;
            }

            spin.SpinOnce(sleep1Threshold: 20);
        }

        return true;
    }

    private ApertureException Refusal(string what) => new($"the drive {Name} {what}", ApertureException.HostFailure);
}
