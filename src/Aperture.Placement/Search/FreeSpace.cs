using System.Runtime.InteropServices;

namespace Aperture.Placement.Search;

/// <summary>The addresses that are still free: sorted, disjoint, never touching.</summary>
internal sealed class FreeSpace
{
    private readonly List<Extent> _spans;

    public FreeSpace(IEnumerable<Extent> spans)
    {
        _spans = [];
        foreach (Extent span in spans.Where(span => !span.IsEmpty).OrderBy(span => span.Start))
        {
            if (_spans.Count > 0 && span.Start <= _spans[^1].End)
            {
                _spans[^1] = _spans[^1].Union(span);
            }
            else
            {
                _spans.Add(span);
            }
        }
    }

    /// <summary>What is left of <paramref name="spans"/> without <paramref name="taken"/>, which is sorted by start.</summary>
    public FreeSpace(IEnumerable<Extent> spans, IEnumerable<Extent> taken)
    {
        List<Extent> whole = new FreeSpace(spans)._spans;
        _spans = [];
        using IEnumerator<Extent> next = taken.GetEnumerator();
        bool more = next.MoveNext();
        ulong reach = 0;
        foreach (Extent span in whole)
        {
            ulong start = Math.Max(span.Start, Math.Min(reach, span.End));
            while (more && next.Current.Start < span.End)
            {
                if (next.Current.Start > start)
                {
                    _spans.Add(new Extent(start, next.Current.Start));
                }

                reach = Math.Max(reach, next.Current.End);
                start = Math.Max(start, Math.Min(reach, span.End));
                more = next.MoveNext();
            }

            if (start < span.End)
            {
                _spans.Add(new Extent(start, span.End));
            }
        }
    }

    private FreeSpace(List<Extent> spans) => _spans = spans;

    public IReadOnlyList<Extent> Spans => _spans;

    public ulong Total => _spans.Aggregate(0UL, (sum, span) => sum + span.Size);

    public ulong LargestGap => _spans.Count == 0 ? 0 : _spans.Max(span => span.Size);

    public FreeSpace Clone() => new([.. _spans]);

    /// <summary>Copies another's content; cheaper than <see cref="Clone"/> where a search goes back and forth.</summary>
    public void CopyFrom(FreeSpace other)
    {
        CollectionsMarshal.SetCount(_spans, other._spans.Count);
        CollectionsMarshal.AsSpan(other._spans).CopyTo(CollectionsMarshal.AsSpan(_spans));
    }

    /// <summary>Only what is left when every span is shrunk to multiples of <paramref name="granule"/>.</summary>
    public FreeSpace Inward(ulong granule) => new([.. _spans.Select(span => span.Inward(granule)).Where(span => !span.IsEmpty)]);

    /// <summary>Takes <paramref name="taken"/> out; parts that are not free are ignored.</summary>
    public void Remove(Extent taken)
    {
        if (taken.IsEmpty)
        {
            return;
        }

        int first = FirstEndingAfter(taken.Start);
        int past = first;
        Extent head = default;
        Extent tail = default;
        while (past < _spans.Count && _spans[past].Start < taken.End)
        {
            Extent span = _spans[past++];
            head = span.Start < taken.Start ? new Extent(span.Start, taken.Start) : head;
            tail = taken.End < span.End ? new Extent(taken.End, span.End) : tail;
        }

        if (past == first)
        {
            return;
        }

        _spans.RemoveRange(first, past - first);
        if (!tail.IsEmpty)
        {
            _spans.Insert(first, tail);
        }

        if (!head.IsEmpty)
        {
            _spans.Insert(first, head);
        }
    }

    /// <summary>The free span that holds all of <paramref name="part"/>, or an empty one.</summary>
    public Extent Enclosing(Extent part)
    {
        int index = FirstEndingAfter(part.Start);
        return index < _spans.Count && _spans[index].Contains(part) ? _spans[index] : default;
    }

    /// <summary>The run that <paramref name="hole"/>, which is not free, makes together with the free spans that touch it.</summary>
    public Extent Around(Extent hole)
    {
        int index = FirstEndingAfter(hole.Start);
        Extent run = hole;
        if (index > 0 && _spans[index - 1].End == hole.Start)
        {
            run = run.Union(_spans[index - 1]);
        }

        return index < _spans.Count && _spans[index].Start == hole.End ? run.Union(_spans[index]) : run;
    }

    /// <summary>The lowest start, not below <paramref name="floor"/>, where the shape fits.</summary>
    public bool TryFirst(ulong floor, Shape shape, out ulong start)
    {
        for (int index = FirstEndingAfter(floor); index < _spans.Count; index++)
        {
            start = shape.StartAtOrAbove(Math.Max(floor, _spans[index].Start));
            if (start <= _spans[index].End && _spans[index].End - start >= shape.Size)
            {
                return true;
            }
        }

        start = 0;
        return false;
    }

    /// <summary>The highest start where the shape fits and ends at or below <paramref name="ceiling"/>.</summary>
    public bool TryLast(ulong ceiling, Shape shape, out ulong start)
    {
        int index = Math.Min(FirstEndingAfter(ceiling), _spans.Count - 1);
        for (; index >= 0; index--)
        {
            Extent span = _spans[index];
            ulong end = Math.Min(span.End, ceiling);
            if (end >= shape.Size && shape.TryStartAtOrBelow(end - shape.Size, out start) && start >= span.Start)
            {
                return true;
            }
        }

        start = 0;
        return false;
    }

    private int FirstEndingAfter(ulong address)
    {
        int low = 0;
        int high = _spans.Count;
        while (low < high)
        {
            int middle = (low + high) >> 1;
            if (_spans[middle].End > address)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }
}
