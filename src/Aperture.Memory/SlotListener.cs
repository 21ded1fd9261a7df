using System.Diagnostics;
using Aperture.Linux;

namespace Aperture.Memory;

/// <summary>
/// Keeps a hypervisor's slots equal to the view: after every change exactly the planned slots are in place, less those that the host refused,
/// which trap and are tried again at the next change. Only what differs is touched; deletes come before adds, because slots must not overlap.
/// </summary>
public sealed class SlotListener : IFlatViewListener
{
    private readonly IMemorySlotBackend _backend;

    // By slot id; null is an empty slot. Touched only inside Commit, under the space's change lock.
    private readonly MemorySlot?[] _table;
    private FlatView _view = FlatView.Empty;

    // True when the last change had no fault: then one that touches no RAM leaves everything as it is, but for what the host refused.
    private bool _settled;

    // Planned slots that the host refused. What the plan itself leaves trapped is no matter of the host and is not tried again.
    private readonly List<MemorySlot> _refused = [];

    // No slot from this id on is in use; ids are given out from 0, so the table's tail is never walked.
    private int _end;

    // Of the change that is being committed: ids of slots that leave, and the slots that come, by rising address.
    private readonly List<int> _leaving = [];
    private readonly List<MemorySlot> _coming = [];

    // Replaced as a whole by Commit, read by whoever reports.
    private volatile List<TrappedRange> _trapped = [];
    private volatile List<MemorySlot> _slots = [];

    /// <summary>Makes a listener over an empty table.</summary>
    public SlotListener(IMemorySlotBackend backend)
    {
        ArgumentNullException.ThrowIfNull(backend);
        _backend = backend;
        _table = new MemorySlot?[backend.MaxSlots];
    }

    /// <summary>The slots in place, in the order of their ids. A snapshot.</summary>
    public IReadOnlyList<MemorySlot> Slots => _slots;

    /// <summary>The RAM that is not in a slot, each with its reason. A snapshot.</summary>
    public IReadOnlyList<TrappedRange> Trapped => _trapped;

    /// <inheritdoc/>
    /// <exception cref="ApertureException">The host did not delete a slot, or did not take RAM that must be mapped.</exception>
    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        if (_settled && !diff.TouchesRam)
        {
            RetryRefused();
            _view = next;
            VerifyInDebug();
            return;
        }

        List<TrappedRange> trapped = [];
        if (!TryFindDifference(diff, trapped))
        {
            FindDifference(SlotPlan.For(next, _backend.MaxSlots), trapped);
        }

        string? fault = DeleteLeaving();
        Add(trapped);
        _view = next;
        _trapped = trapped;
        _slots = Snapshot();
        if (fault is null)
        {
            VerifyInDebug();
        }

        foreach (TrappedRange range in trapped)
        {
            if (fault is null && range.Region.MustBeMapped)
            {
                fault = $"{range.Region.Name} at {range.Range} cannot be given to the guest: {range.Reason}";
            }
        }

        _settled = fault is null;
        if (fault is not null)
        {
            throw new ApertureException(fault, ApertureException.HostFailure);
        }
    }

    /// <summary>Compares the slots in place with the view: null when they agree, otherwise the first difference in one sentence.</summary>
    public string? Verify() => SlotInvariant.Check(_view, _slots, _trapped);

    // Slots come of each run by itself as long as there is one for each: then only those of the runs that differ change. False when the whole is to be
    // planned, because something traps or is not as it should be.
    private bool TryFindDifference(FlatViewDiff diff, List<TrappedRange> trapped)
    {
        _leaving.Clear();
        _coming.Clear();
        if (!_settled || _trapped.Count != 0)
        {
            return false;
        }

        SlotPlan gone = SlotPlan.Of(diff.Removed.AsSpan());
        SlotPlan come = SlotPlan.Of(diff.Added.AsSpan());
        foreach (ref readonly MemorySlot slot in gone.Slots.AsSpan())
        {
            int id = IdOf(slot);
            if (id < 0)
            {
                return false;
            }

            _leaving.Add(id);
        }

        if (_slots.Count - _leaving.Count + come.Slots.Length > _backend.MaxSlots)
        {
            return false;
        }

        _coming.AddRange(come.Slots);
        trapped.AddRange(come.Trapped);
        return true;
    }

    // What of the table is not planned, and what is planned and not in the table.
    private void FindDifference(SlotPlan plan, List<TrappedRange> trapped)
    {
        _leaving.Clear();
        _coming.Clear();
        bool[] inPlace = new bool[plan.Slots.Length];
        for (int id = 0; id < _end; id++)
        {
            if (_table[id] is { } slot)
            {
                if (plan.IndexOf(slot) is >= 0 and int wanted)
                {
                    inPlace[wanted] = true;
                }
                else
                {
                    _leaving.Add(id);
                }
            }
        }

        for (int wanted = 0; wanted < inPlace.Length; wanted++)
        {
            if (!inPlace[wanted])
            {
                _coming.Add(plan.Slots[wanted]);
            }
        }

        trapped.AddRange(plan.Trapped);
    }

    private int IdOf(in MemorySlot wanted)
    {
        for (int id = 0; id < _end; id++)
        {
            if (_table[id] is { } slot && slot == wanted)
            {
                return id;
            }
        }

        return -1;
    }

    private string? DeleteLeaving()
    {
        string? fault = null;
        foreach (int id in _leaving)
        {
            int errno = _backend.Delete(id);
            if (errno == 0)
            {
                _table[id] = null;
            }
            else
            {
                MemorySlot slot = _table[id]!.Value;
                fault ??= $"the host did not take the memory slot of {slot.Region.Name} at {slot.Range} back: {MemoryMap.Describe(errno)}";
            }
        }

        return fault;
    }

    private void Add(List<TrappedRange> trapped)
    {
        _refused.Clear();
        int id = 0;
        foreach (MemorySlot slot in _coming)
        {
            if (TryFill(ref id, slot) is { } reason)
            {
                _refused.Add(slot);
                trapped.Add(new TrappedRange(slot.Range, slot.Region, reason));
            }
        }
    }

    // Puts the slot under the first free id from the given one on: null, or why it could not be.
    private string? TryFill(ref int id, in MemorySlot slot)
    {
        while (id < _table.Length && _table[id] is not null)
        {
            id++;
        }

        // Only slots that could not be deleted can have used up the ids that the plan counted on.
        if (id == _table.Length)
        {
            return "no memory slot is free";
        }

        int errno = _backend.Set(id, slot);
        if (errno != 0)
        {
            return $"the host refused a memory slot: {MemoryMap.Describe(errno)}";
        }

        _table[id] = slot;
        _end = Math.Max(_end, id + 1);
        return null;
    }

    // The host may have room again.
    private void RetryRefused()
    {
        if (_refused.Count == 0)
        {
            return;
        }

        int id = 0;
        List<MemorySlot> taken = [.. _refused.Where(slot => TryFill(ref id, slot) is null)];
        if (taken.Count != 0)
        {
            _refused.RemoveAll(taken.Contains);
            _trapped = [.. _trapped.Where(range => !taken.Exists(slot => slot.Region == range.Region && slot.Range == range.Range))];
            _slots = Snapshot();
        }
    }

    private List<MemorySlot> Snapshot()
    {
        List<MemorySlot> slots = new(_end);
        for (int id = 0; id < _end; id++)
        {
            if (_table[id] is { } slot)
            {
                slots.Add(slot);
            }
        }

        return slots;
    }

    [Conditional("DEBUG")]
    private void VerifyInDebug()
    {
        if (Verify() is { } difference)
        {
            throw new InvalidOperationException(difference);
        }
    }
}
