using System.Runtime.InteropServices;

namespace Aperture.Memory.Faulting;

/// <summary>
/// Which pages of a <see cref="FaultingMemory"/> are in place: runs by offset, disjoint, merged where one mapping can be both. Not thread-safe.
/// </summary>
internal sealed class GrantRuns
{
    private readonly List<Entry> _entries = [];
    private long _age;

    public int Count => _entries.Count;

    /// <summary>Bytes in place.</summary>
    public ulong Bytes { get; private set; }

    /// <summary>A snapshot, by offset.</summary>
    public GrantRun[] ToArray()
    {
        GrantRun[] runs = new GrantRun[_entries.Count];
        for (int i = 0; i < runs.Length; i++)
        {
            runs[i] = _entries[i].Run;
        }

        return runs;
    }

    /// <summary>True when the byte at <paramref name="offset"/> is in a run.</summary>
    public bool Has(ulong offset) => FirstEndingAfter(offset) is var at && at < _entries.Count && _entries[at].Run.Offset <= offset;

    /// <summary>Adds a run where none is.</summary>
    public void Add(GrantRun run)
    {
        int at = FirstEndingAfter(run.Offset);
        Bytes += run.Size;
        if (at < _entries.Count && run.GoesOnIn(_entries[at].Run))
        {
            run = run with { Size = run.Size + _entries[at].Run.Size };
            _entries.RemoveAt(at);
        }

        if (at > 0 && _entries[at - 1].Run is var before && before.GoesOnIn(run))
        {
            run = before with { Size = before.Size + run.Size };
            _entries[at - 1] = new Entry(run, ++_age);
            return;
        }

        _entries.Insert(at, new Entry(run, ++_age));
    }

    /// <summary>
    /// Takes what is in place of <paramref name="size"/> bytes out; false when nothing is. All of it lies from <paramref name="first"/> up to
    /// <paramref name="end"/>.
    /// </summary>
    public bool Remove(ulong offset, ulong size, out ulong first, out ulong end)
    {
        (first, end) = (0, 0);
        ulong last = offset + size;
        int from = FirstEndingAfter(offset);
        int to = from;
        while (to < _entries.Count && _entries[to].Run.Offset < last)
        {
            to++;
        }

        if (from == to)
        {
            return false;
        }

        Entry left = _entries[from];
        Entry right = _entries[to - 1];
        first = Math.Max(left.Run.Offset, offset);
        end = Math.Min(right.Run.End, last);
        for (int i = from; i < to; i++)
        {
            Bytes -= Math.Min(_entries[i].Run.End, last) - Math.Max(_entries[i].Run.Offset, offset);
        }

        _entries.RemoveRange(from, to - from);
        if (right.Run.End > last)
        {
            _entries.Insert(from, right with { Run = right.Run.From(last) });
        }

        if (left.Run.Offset < offset)
        {
            _entries.Insert(from, left with { Run = left.Run with { Size = offset - left.Run.Offset } });
        }

        return true;
    }

    /// <summary>The run that nothing was added to for the longest time.</summary>
    public GrantRun Oldest()
    {
        Entry oldest = _entries[0];
        foreach (ref readonly Entry entry in CollectionsMarshal.AsSpan(_entries))
        {
            if (entry.Age < oldest.Age)
            {
                oldest = entry;
            }
        }

        return oldest.Run;
    }

    private int FirstEndingAfter(ulong offset)
    {
        int low = 0;
        int high = _entries.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_entries[middle].Run.End <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    private readonly record struct Entry(GrantRun Run, long Age);
}
