using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace Aperture.Memory;

/// <summary>
/// What is placed in a space, by start address and then by age, each with the highest end so far: what covers an address is found by a search. An edit copies
/// the entries once, from one list to another that is kept, and leaves no garbage. Used under the space's change lock.
/// </summary>
internal sealed class PlacementTable
{
    private readonly Dictionary<Region, Placement> _byRegion = [];
    private List<Entry> _entries = [];
    private List<Entry> _spare = [];

    /// <summary>The placements in order, made anew by each call.</summary>
    public Placement[] Snapshot() => [.. _entries.Select(static entry => entry.Placement)];

    /// <summary>Where <paramref name="region"/> is placed.</summary>
    public bool TryFind(Region region, [NotNullWhen(true)] out Placement? placement) => _byRegion.TryGetValue(region, out placement);

    /// <summary>The order of the table.</summary>
    public static int Compare(Placement left, Placement right)
    {
        int order = left.Range.Start.CompareTo(right.Range.Start);
        return order != 0 ? order : left.Sequence.CompareTo(right.Sequence);
    }

    /// <summary>Takes out <paramref name="gone"/>, which are placed, and puts in <paramref name="come"/>; both in the table's order.</summary>
    public void Apply(List<Placement> gone, List<Placement> come)
    {
        foreach (Placement placement in gone)
        {
            _byRegion.Remove(placement.Region);
        }

        foreach (Placement placement in come)
        {
            _byRegion.Add(placement.Region, placement);
        }

        ReadOnlySpan<Entry> before = CollectionsMarshal.AsSpan(_entries);
        _spare.Clear();
        (int from, int first, int last) = (0, int.MaxValue, 0);
        for ((int g, int c) = (0, 0); g < gone.Count || c < come.Count;)
        {
            bool removes = c == come.Count || (g < gone.Count && Compare(gone[g], come[c]) < 0);
            Placement edited = removes ? gone[g++] : come[c++];
            int at = FirstNotBefore(before, edited);
            _spare.AddRange(before[from..at]);
            (from, first) = (at, Math.Min(first, _spare.Count));
            if (removes)
            {
                from++;
            }
            else
            {
                _spare.Add(new Entry(edited, edited.Range.Last, default));
            }

            last = _spare.Count;
        }

        _spare.AddRange(before[from..]);
        (_entries, _spare) = (_spare, _entries);
        CarryReach(CollectionsMarshal.AsSpan(_entries), first, last);

        // What was taken out is not to be kept alive by the list that waits for the next edit.
        _spare.Clear();
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        _byRegion.Clear();
        _entries.Clear();
    }

    /// <summary>Adds the placements that share an address with <paramref name="area"/> to <paramref name="found"/>, in the table's order.</summary>
    public void FindOverlapping(AddressRange area, List<Placement> found)
    {
        ReadOnlySpan<Entry> entries = CollectionsMarshal.AsSpan(_entries);
        for (int i = FirstReaching(entries, area.Start); i < entries.Length && entries[i].Placement.Range.Start <= area.Last; i++)
        {
            if (entries[i].Last >= area.Start)
            {
                found.Add(entries[i].Placement);
            }
        }
    }

    // From the first edit on, until past the last one it comes out as it was.
    private static void CarryReach(Span<Entry> entries, int first, int last)
    {
        for (int i = first; i < entries.Length; i++)
        {
            GuestAddress reach = i > 0 && entries[i - 1].Reach > entries[i].Last ? entries[i - 1].Reach : entries[i].Last;
            if (i >= last && entries[i].Reach == reach)
            {
                return;
            }

            entries[i].Reach = reach;
        }
    }

    private static int FirstReaching(ReadOnlySpan<Entry> entries, GuestAddress address)
    {
        int low = 0;
        int high = entries.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            (low, high) = entries[middle].Reach < address ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private static int FirstNotBefore(ReadOnlySpan<Entry> entries, Placement placement)
    {
        int low = 0;
        int high = entries.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            (low, high) = Compare(entries[middle].Placement, placement) < 0 ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    // Reach: the highest Last of this and all before.
    private record struct Entry(Placement Placement, GuestAddress Last, GuestAddress Reach);
}
