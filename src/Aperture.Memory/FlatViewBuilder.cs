using System.Runtime.InteropServices;

namespace Aperture.Memory;

/// <summary>
/// Resolves overlapping placements into a flat view, only where something changed: each area that an edit touched is swept anew, the strongest placement that
/// covers each run wins; the runs between the areas are copied. A change costs a search, what covers its areas, and one copy of the old view's runs; besides
/// the new view it leaves a few objects whose number does not depend on the view. Used under the space's change lock.
/// </summary>
internal sealed class FlatViewBuilder(PlacementTable placements)
{
    // Kept from change to change. The runs are those of all areas, one area after the other.
    private readonly List<Area> _areas = [];
    private readonly List<Placement> _found = [];
    private readonly List<Placement> _covering = [];
    private readonly List<FlatRange> _runs = [];
    private readonly List<FlatRange> _removed = [];
    private readonly List<FlatRange> _added = [];

    /// <summary>
    /// The view of the placements as they are now. <paramref name="old"/> is their view before the edits, <paramref name="changed"/> the ranges, by rising
    /// start, of all that was taken out or put in since. The same object when nothing differs.
    /// </summary>
    public FlatView Update(FlatView old, List<AddressRange> changed, out FlatViewDiff diff)
    {
        ReadOnlySpan<FlatRange> before = old.Ranges;
        FindAreas(before, changed);
        int count = before.Length;
        foreach (ref Area area in CollectionsMarshal.AsSpan(_areas))
        {
            area.FirstRun = _runs.Count;
            Sweep(area.Range);
            area.EndRun = _runs.Count;
            FlatViewDiff.Compare(before[area.From..area.To], RunsOf(area), _removed, _added);
            count += area.EndRun - area.FirstRun - (area.To - area.From);
        }

        diff = new FlatViewDiff(old, [.. _removed], [.. _added]);
        FlatView next = diff.IsEmpty ? old : count == 0 ? FlatView.Empty : new FlatView(Splice(before, count));
        Forget();
        return next;
    }

    private FlatRange[] Splice(ReadOnlySpan<FlatRange> before, int count)
    {
        FlatRange[] after = new FlatRange[count];
        Span<FlatRange> rest = after;
        int from = 0;
        foreach (ref readonly Area area in CollectionsMarshal.AsSpan(_areas))
        {
            before[from..area.From].CopyTo(rest);
            rest = rest[(area.From - from)..];
            RunsOf(area).CopyTo(rest);
            rest = rest[(area.EndRun - area.FirstRun)..];
            from = area.To;
        }

        before[from..].CopyTo(rest);
        return after;
    }

    private ReadOnlySpan<FlatRange> RunsOf(in Area area) => CollectionsMarshal.AsSpan(_runs)[area.FirstRun..area.EndRun];

    // Regions that left are not to be kept alive from here.
    private void Forget()
    {
        _areas.Clear();
        _found.Clear();
        _covering.Clear();
        _runs.Clear();
        _removed.Clear();
        _added.Clear();
    }

    // Each changed range with the old runs that share an address with it or touch it, whole, since runs of one region merge. Areas that touch are one.
    private void FindAreas(ReadOnlySpan<FlatRange> before, List<AddressRange> changed)
    {
        foreach (AddressRange range in changed)
        {
            GuestAddress first = range.Start;
            GuestAddress last = range.Last;
            int from = FirstEndingAtOrAbove(before, first == GuestAddress.Zero ? first : first - 1);
            int to = FirstStartingAbove(before, last + 1); // does not wrap: limits end at 2^64 - 2 at most
            if (from < to)
            {
                first = before[from].Range.Start < first ? before[from].Range.Start : first;
                last = before[to - 1].Range.Last > last ? before[to - 1].Range.Last : last;
            }

            if (_areas.Count > 0 && first <= _areas[^1].Range.Last + 1)
            {
                Area joined = _areas[^1];
                last = joined.Range.Last > last ? joined.Range.Last : last;
                _areas[^1] = joined with { Range = AddressRange.FromBounds(joined.Range.Start, last), To = Math.Max(joined.To, to) };
            }
            else
            {
                _areas.Add(new Area(AddressRange.FromBounds(first, last), from, Math.Max(from, to)));
            }
        }
    }

    private void Sweep(AddressRange area)
    {
        // Few cover any one address, because BARs that overlap each other are not placed at all: a scan of those beats a heap.
        _found.Clear();
        _covering.Clear();
        placements.FindOverlapping(area, _found);
        int firstRun = _runs.Count;
        int next = 0;
        GuestAddress cursor = area.Start;
        while (cursor <= area.Last)
        {
            for (; next < _found.Count && _found[next].Range.Start <= cursor; next++)
            {
                _covering.Add(_found[next]);
            }

            Placement? winner = Strongest(_covering, cursor);
            if (winner is null && next == _found.Count)
            {
                return;
            }

            // What holds here holds until it ends or until something else begins, which may be stronger.
            GuestAddress last = winner is null || winner.Range.Last > area.Last ? area.Last : winner.Range.Last;
            if (next < _found.Count && _found[next].Range.Start <= last)
            {
                last = _found[next].Range.Start - 1;
            }

            if (winner is not null)
            {
                Append(firstRun, winner, cursor, last);
            }

            cursor = last + 1; // does not wrap, as above
        }
    }

    // Of those that have not ended, which it drops, the one with the highest priority, and of equals the newest.
    private static Placement? Strongest(List<Placement> covering, GuestAddress cursor)
    {
        Placement? strongest = null;
        for (int i = covering.Count - 1; i >= 0; i--)
        {
            Placement candidate = covering[i];
            if (candidate.Range.Last < cursor)
            {
                covering[i] = covering[^1];
                covering.RemoveAt(covering.Count - 1);
            }
            else if (strongest is null || candidate.Priority > strongest.Priority
                || (candidate.Priority == strongest.Priority && candidate.Sequence > strongest.Sequence))
            {
                strongest = candidate;
            }
        }

        return strongest;
    }

    private void Append(int firstRun, Placement winner, GuestAddress first, GuestAddress last)
    {
        if (winner.Region.Kind == RegionKind.Hole)
        {
            return;
        }

        if (_runs.Count > firstRun)
        {
            FlatRange previous = _runs[^1];
            if (ReferenceEquals(previous.Region, winner.Region) && previous.Range.Last + 1 == first)
            {
                _runs[^1] = previous with { Range = AddressRange.FromBounds(previous.Range.Start, last) };
                return;
            }
        }

        _runs.Add(new FlatRange(AddressRange.FromBounds(first, last), winner.Region, first - winner.Range.Start));
    }

    private static int FirstEndingAtOrAbove(ReadOnlySpan<FlatRange> runs, GuestAddress address)
    {
        int low = 0;
        int high = runs.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            (low, high) = runs[middle].Range.Last < address ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private static int FirstStartingAbove(ReadOnlySpan<FlatRange> runs, GuestAddress address)
    {
        int low = 0;
        int high = runs.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            (low, high) = runs[middle].Range.Start <= address ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    // Addresses to sweep, the old runs there (From, but not To), and where the new ones are.
    private record struct Area(AddressRange Range, int From, int To, int FirstRun = 0, int EndRun = 0);
}
