using Aperture.Assignment;
using Aperture.Pci;
using Aperture.VfioUser.Server;

namespace Aperture.Mediation;

/// <summary>
/// One guest between its client and the mediator: the book of its grants, its faults, and what the mediator may ask of it.
/// <para>
/// <c>_gate</c> guards the book and is held while granted memory is read or written, never while the mediator is called. A revocation that comes between a
/// fault and its answer makes the generation move on, so that the answer is dropped.
/// </para>
/// </summary>
internal sealed class GuestSession : IGuest, IDma
{
    // Faults of one access that end in nothing because pages were revoked meanwhile. A mediator that is so short of pages refuses in effect.
    private const int MostFaults = 64;

    private readonly Lock _gate = new();
    private readonly GrantBook _book = new();
    private readonly FunctionDescription _description;
    private readonly PciFunction _function;
    private readonly SourceLedger _ledger;
    private readonly IDeviceClient _client;
    private readonly string _mediator;
    private readonly IEventSink _events;
    private IMediatorSession? _session;

    // Under the gate: the newest revocation, the newest one that the fault under way knows of, and the thread that has it.
    private long _generation;
    private long _seen;
    private int _faulting;
    private bool _ended;
    private long _refused;

    private GuestSession(
        string name, FunctionDescription description, PciFunction function, SourceLedger ledger, IDeviceClient client, string mediator, IEventSink events)
    {
        (Name, _description, _function, _ledger, _client, _mediator, _events) = (name, description, function, ledger, client, mediator, events);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public IDma Memory => this;

    /// <inheritdoc/>
    public bool IsMsixEnabled => _client.IsEnabled(VfioIrqIndex.Msix);

    /// <summary>How many accesses the mediator refused.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <inheritdoc/>
    public IReadOnlyList<Grant> Grants
    {
        get
        {
            lock (_gate)
            {
                return [.. _book.Grants];
            }
        }
    }

    /// <summary>The mediator's side.</summary>
    public IMediatorSession Mediator => _session!;

    /// <summary>Opens a session at a mediator. What the mediator throws goes on.</summary>
    public static GuestSession Open(
        IMediator mediator, string name, FunctionDescription description, PciFunction function, SourceLedger ledger, IDeviceClient client, IEventSink events)
    {
        GuestSession guest = new(name, description, function, ledger, client, mediator.Name, events);
        try
        {
            guest._session = mediator.Open(guest);
        }
        catch
        {
            // It may have kept the guest.
            guest.TakeAll(ends: true);
            throw;
        }

        return guest;
    }

    /// <inheritdoc/>
    public bool RaiseMsix(int vector) => _function.MayIssueRequests && _client.Signal(VfioIrqIndex.Msix, vector);

    /// <inheritdoc/>
    public void SetIntx(bool asserted)
    {
        lock (_gate)
        {
            if (!_ended)
            {
                _function.SetIntx(asserted);
            }
        }
    }

    /// <inheritdoc/>
    public void Revoke(int bar, ulong offset, ulong size)
    {
        BarDescription described = _description.Find(bar) ?? throw new ArgumentOutOfRangeException(nameof(bar), $"{_mediator} has no bar{bar}");
        if ((offset | size) % GrantBook.Page != 0 || offset > described.Size || size > described.Size - offset)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), $"0x{size:x} bytes from 0x{offset:x} are not whole pages inside bar{bar}");
        }

        IReadOnlyList<Grant> taken;
        long generation;
        lock (_gate)
        {
            MoveOn();
            generation = _generation;
            taken = _book.Revoke(bar, offset, size);
        }

        // Only then they are free. A client that maps them lets go first, or is cut off.
        if (taken.Count != 0 && _client.MapsGrants)
        {
            _client.Revoke(bar, offset, size, (ulong)generation);
        }

        Release(taken);
    }

    bool IDma.Read(GuestAddress address, Span<byte> destination) =>
        _function.MayIssueRequests && AddressRange.Fits(address, (ulong)destination.Length) && _client.Memory.Read(address, destination);

    bool IDma.Write(GuestAddress address, ReadOnlySpan<byte> source) =>
        _function.MayIssueRequests && AddressRange.Fits(address, (ulong)source.Length) && _client.Memory.Write(address, source);

    /// <summary>Reads from a mediated part as much as one grant, or one access, has.</summary>
    /// <returns>Bytes.</returns>
    public int Read(BarDescription bar, ulong offset, Span<byte> destination)
    {
        int size = Pieces.Natural(offset, destination.Length);
        for (int faults = 0; faults < MostFaults; faults++)
        {
            lock (_gate)
            {
                if (_book.Find(bar.Index, offset) is { } grant)
                {
                    int count = (int)Math.Min((ulong)destination.Length, grant.End - offset);
                    grant.Source.Read(grant.SourceOffset + (offset - grant.Offset), destination[..count]);
                    return count;
                }

                BeginFault();
            }

            FaultAnswer answer = Ask(new Fault(bar.Index, offset, false));
            if (answer is FaultAnswer.TrapAnswer)
            {
                Pieces.Store(Mediator.Read(bar.Index, offset, size), destination[..size]);
                return size;
            }

            if (answer is FaultAnswer.RefuseAnswer)
            {
                break;
            }
        }

        Refuse(bar, offset, "reads");
        destination[..size].Fill(0xFF);
        return size;
    }

    /// <summary>Writes to a mediated part as much as one grant, or one access, takes.</summary>
    /// <returns>Bytes.</returns>
    public int Write(BarDescription bar, ulong offset, ReadOnlySpan<byte> source)
    {
        int size = Pieces.Natural(offset, source.Length);
        for (int faults = 0; faults < MostFaults; faults++)
        {
            lock (_gate)
            {
                if (_book.Find(bar.Index, offset) is { Protection: GrantProtection.ReadWrite } grant)
                {
                    int count = (int)Math.Min((ulong)source.Length, grant.End - offset);
                    grant.Source.Write(grant.SourceOffset + (offset - grant.Offset), source[..count]);
                    return count;
                }

                BeginFault();
            }

            FaultAnswer answer = Ask(new Fault(bar.Index, offset, true));
            if (answer is FaultAnswer.TrapAnswer)
            {
                Mediator.Write(bar.Index, offset, size, Pieces.Load(source[..size]));
                return size;
            }

            if (answer is FaultAnswer.RefuseAnswer)
            {
                break;
            }
        }

        Refuse(bar, offset, "writes to");
        return size;
    }

    /// <summary>A client that maps pages touched one.</summary>
    public ServedGrant Touch(BarDescription bar, ulong offset, bool isWrite)
    {
        for (int faults = 0; faults < MostFaults; faults++)
        {
            ulong generation;
            lock (_gate)
            {
                generation = (ulong)_generation;
                if (_book.Find(bar.Index, offset) is { } grant && (!isWrite || grant.Protection == GrantProtection.ReadWrite))
                {
                    // What cannot be mapped the client reaches by messages.
                    return grant.Source.File is not { } file
                        ? new ServedGrant(FaultAnswerKind.Trap, offset, 0, null, 0, false, generation)
                        : new ServedGrant(
                            FaultAnswerKind.Grant, grant.Offset, grant.Size, file, grant.Source.FileOffset + grant.SourceOffset,
                            grant.Protection == GrantProtection.ReadWrite, generation);
                }

                BeginFault();
            }

            FaultAnswer answer = Ask(new Fault(bar.Index, offset, isWrite));
            if (answer is FaultAnswer.TrapAnswer)
            {
                return new ServedGrant(FaultAnswerKind.Trap, offset, 0, null, 0, false, generation);
            }

            if (answer is FaultAnswer.RefuseAnswer)
            {
                break;
            }
        }

        Refuse(bar, offset, isWrite ? "writes to" : "reads");
        return new ServedGrant(FaultAnswerKind.Refused, offset, 0, null, 0, false, 0);
    }

    /// <summary>Takes all grants back, for a reset.</summary>
    public void RevokeAll() => TakeAll(ends: false);

    /// <summary>The guest's end. What the mediator throws goes on, with everything taken back.</summary>
    public void End()
    {
        TakeAll(ends: true);
        _session?.Dispose();
    }

    private void TakeAll(bool ends)
    {
        lock (_gate)
        {
            MoveOn();
            Release(_book.Clear());
            _ended |= ends;
        }
    }

    private void BeginFault() => (_seen, _faulting) = (_generation, Environment.CurrentManagedThreadId);

    // A revocation, with the gate held. What the thread of a fault revokes itself, its answer knows of.
    private void MoveOn()
    {
        _generation++;
        if (_faulting == Environment.CurrentManagedThreadId && _seen == _generation - 1)
        {
            _seen = _generation;
        }
    }

    private void Release(IReadOnlyList<Grant> taken)
    {
        foreach (Grant grant in taken)
        {
            _ledger.Release(this, grant);
        }
    }

    // The answer; a grant is in the book then, unless pages were revoked meanwhile.
    private FaultAnswer Ask(Fault fault)
    {
        try
        {
            FaultAnswer answer = Mediator.Fault(fault) ?? throw new ApertureException("it answers a fault with nothing");
            if (answer is FaultAnswer.GrantAnswer { Grant: { } grant })
            {
                Check(grant, fault);
                Install(grant);
            }

            return answer;
        }
        finally
        {
            lock (_gate)
            {
                _faulting = 0;
            }
        }
    }

    private void Check(Grant grant, Fault fault)
    {
        BarDescription bar = _description.Find(fault.Bar)!;
        string? wrong = (grant.Offset | grant.Size | grant.SourceOffset) % GrantBook.Page != 0 || grant.Size == 0 ? "is not whole pages"
            : grant.Bar != fault.Bar || fault.Offset < grant.Offset || fault.Offset - grant.Offset >= grant.Size ? $"lacks the page at 0x{fault.Offset:x}"
            : grant.Size > bar.Size - grant.Offset || bar.PartAt(grant.Offset, out ulong end) != BarPartKind.Mediated || grant.Size > end - grant.Offset
                ? "leaves the mediated part"
            : grant.Source is RamSource { File: null } || grant.SourceOffset > grant.Source.Size || grant.Size > grant.Source.Size - grant.SourceOffset
                ? "is more than its source has, or its source is not shared memory"
            : fault.IsWrite && grant.Protection != GrantProtection.ReadWrite ? "cannot be written, which was asked for" : null;
        if (wrong is not null)
        {
            throw new ApertureException($"its grant of {grant} {wrong}");
        }
    }

    private void Install(Grant grant)
    {
        lock (_gate)
        {
            if (_ended || _seen != _generation)
            {
                return;
            }

            if (!_book.TryAdd(grant, out IReadOnlyList<Grant> added))
            {
                throw new ApertureException($"its grant of {grant} replaces another; revoke that first");
            }

            for (int i = 0; i < added.Count; i++)
            {
                if (_ledger.TryTake(this, added[i]))
                {
                    continue;
                }

                foreach (Grant piece in added)
                {
                    _book.Revoke(piece.Bar, piece.Offset, piece.Size);
                }

                Release([.. added.Take(i)]);
                throw new ApertureException($"its grant of {grant} is another guest's; revoke it there first, or share it with both");
            }
        }
    }

    private void Refuse(BarDescription bar, ulong offset, string does)
    {
        if (Interlocked.Increment(ref _refused) == 1)
        {
            _events.Notice("mediation.refused", $"the guest at {Name} {does} {BarKinds.BarName(bar.Index)} at 0x{offset:x}, which {_mediator} refuses; "
                + "such accesses read all-ones and lose what they write.");
        }
    }
}
