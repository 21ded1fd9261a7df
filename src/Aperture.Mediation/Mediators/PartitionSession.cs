using System.Collections;
using System.Numerics;

namespace Aperture.Mediation.Mediators;

/// <summary>One guest of a <see cref="PartitionMediator"/>.</summary>
internal sealed class PartitionSession(PartitionMediator mediator, IGuest guest) : IMediatorSession, IWordRegisters
{
    private const ulong RegisterBytes = 0x1000;
    private const int TakenVector = 0;

    private readonly int _windowPages = (int)(mediator.Window / mediator.Page);
    private readonly BitArray _claimed = new((int)(mediator.Window / mediator.Page));

    // Under its own lock: other guests' threads take pages away. A page is in the queue once, so that it is no longer than the window.
    private readonly Lock _takenGate = new();
    private readonly Queue<int> _taken = [];
    private readonly BitArray _isQueued = new((int)(mediator.Window / mediator.Page));
    private uint _takenCount;

    private uint _first;
    private uint _count;
    private PartitionStatus _status;

    /// <summary>The guest.</summary>
    public IGuest Guest => guest;

    /// <summary>What the guest has, by page of its window. The mediator's lock guards it.</summary>
    public Dictionary<int, LinkedListNode<PartitionMediator.Holding>> Held { get; } = [];

    /// <inheritdoc/>
    public ulong Read(int bar, ulong offset, int size)
    {
        AccessLanes.ReadWords(this, RegisterBytes, offset, size, out ulong value);
        return value;
    }

    /// <inheritdoc/>
    public void Write(int bar, ulong offset, int size, ulong value) => AccessLanes.WriteWords(this, RegisterBytes, offset, size, value);

    /// <inheritdoc/>
    public FaultAnswer Fault(in Fault fault)
    {
        int window = (int)(fault.Offset / mediator.Page);
        return _claimed[window] ? FaultAnswer.Give(mediator.Give(this, window)) : FaultAnswer.Refuse;
    }

    /// <inheritdoc/>
    public void Reset()
    {
        mediator.TakeBack(this, 0, _windowPages);
        _claimed.SetAll(false);
        (_first, _count, _status) = (0, 0, PartitionStatus.Done);
        lock (_takenGate)
        {
            _taken.Clear();
            _isQueued.SetAll(false);
            _takenCount = 0;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => mediator.TakeBack(this, 0, _windowPages);

    /// <summary>Another guest gets a page of this one. When it returns, this one cannot reach it any more, and is told.</summary>
    public void LetGo(int window)
    {
        guest.Revoke(PartitionMediator.WindowBar, (ulong)window * mediator.Page, mediator.Page);
        lock (_takenGate)
        {
            _takenCount++;
            if (!_isQueued[window])
            {
                _isQueued[window] = true;
                _taken.Enqueue(window);
            }
        }

        guest.RaiseMsix(TakenVector);
    }

    uint IWordRegisters.ReadWord(ulong offset, uint lanes) => (uint)offset switch
    {
        PartitionRegisters.Identification => PartitionRegisters.Magic,
        PartitionRegisters.Version => PartitionRegisters.CurrentVersion,
        PartitionRegisters.PageShift => (uint)BitOperations.Log2(mediator.Page),
        PartitionRegisters.WindowPages => (uint)_windowPages,
        PartitionRegisters.AllPages => (uint)mediator.Pages,
        PartitionRegisters.FreePages => (uint)mediator.Free,
        PartitionRegisters.HeldPages => (uint)mediator.CountOf(this),
        PartitionRegisters.TakenPages => Volatile.Read(ref _takenCount),
        PartitionRegisters.First => _first,
        PartitionRegisters.Count => _count,
        PartitionRegisters.Status => (uint)_status,
        PartitionRegisters.NextTaken => NextTaken(),
        _ => 0,
    };

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        switch ((uint)offset)
        {
            case PartitionRegisters.First:
                _first = _first & ~lanes | value & lanes;
                break;
            case PartitionRegisters.Count:
                _count = _count & ~lanes | value & lanes;
                break;
            case PartitionRegisters.Doorbell when (lanes & 0xFF) != 0:
                _status = Ring((byte)(value & lanes));
                break;
            default:
                break;
        }
    }

    private PartitionStatus Ring(byte command)
    {
        if (command is not ((byte)PartitionCommand.Claim or (byte)PartitionCommand.GiveUp))
        {
            return PartitionStatus.NoSuchCommand;
        }

        if (_first > (uint)_windowPages || _count > (uint)_windowPages - _first)
        {
            return PartitionStatus.NoSuchPages;
        }

        bool claims = command == (byte)PartitionCommand.Claim;
        for (uint i = _first; i < _first + _count; i++)
        {
            _claimed[(int)i] = claims;
        }

        if (!claims)
        {
            mediator.TakeBack(this, (int)_first, (int)_count);
        }

        return PartitionStatus.Done;
    }

    private uint NextTaken()
    {
        lock (_takenGate)
        {
            if (!_taken.TryDequeue(out int window))
            {
                return uint.MaxValue;
            }

            _isQueued[window] = false;
            return (uint)window;
        }
    }
}
