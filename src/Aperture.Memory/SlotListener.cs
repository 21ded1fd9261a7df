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

    // Replaced as a whole by Commit, read by whoever reports.
    private volatile IReadOnlyList<TrappedRange> _trapped = [];
    private volatile IReadOnlyList<MemorySlot> _slots = [];

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

        SlotPlan plan = SlotPlan.For(next, _backend.MaxSlots);
        bool[] inPlace = new bool[plan.Slots.Length];
        List<TrappedRange> trapped = [.. plan.Trapped];
        string? fault = DeleteOthers(plan, inPlace);
        Add(plan, inPlace, trapped);
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

    // Empties every slot that is not wanted, and marks the wanted ones that are in place.
    private string? DeleteOthers(SlotPlan plan, bool[] inPlace)
    {
        string? fault = null;
        for (int id = 0; id < _end; id++)
        {
            if (_table[id] is not { } slot)
            {
                continue;
            }

            if (plan.IndexOf(slot) is >= 0 and int wanted)
            {
                inPlace[wanted] = true;
                continue;
            }

            int errno = _backend.Delete(id);
            if (errno == 0)
            {
                _table[id] = null;
            }
            else
            {
                fault ??= $"the host did not take the memory slot of {slot.Region.Name} at {slot.Range} back: {MemoryMap.Describe(errno)}";
            }
        }

        return fault;
    }

    private void Add(SlotPlan plan, bool[] inPlace, List<TrappedRange> trapped)
    {
        _refused.Clear();
        int id = 0;
        for (int wanted = 0; wanted < inPlace.Length; wanted++)
        {
            if (inPlace[wanted])
            {
                continue;
            }

            MemorySlot slot = plan.Slots[wanted];
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
