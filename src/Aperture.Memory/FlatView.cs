using System.Runtime.CompilerServices;

namespace Aperture.Memory;

/// <summary>
/// Who answers at every address at one moment: runs sorted by address, disjoint, neighbours of one region merged. Immutable, so any
/// thread may use any view that it once got, without a lock.
/// </summary>
public sealed class FlatView
{
    private readonly FlatRange[] _ranges;

    internal FlatView(FlatRange[] ranges) => _ranges = ranges;

    /// <summary>The view in which nothing answers.</summary>
    public static FlatView Empty { get; } = new([]);

    /// <summary>The runs in address order.</summary>
    public ReadOnlySpan<FlatRange> Ranges => _ranges;

    /// <summary>The view in which the runs of <paramref name="upper"/> hide what <paramref name="lower"/> has at their addresses.</summary>
    public static FlatView Over(FlatView upper, FlatView lower)
    {
        ArgumentNullException.ThrowIfNull(upper);
        ArgumentNullException.ThrowIfNull(lower);
        if (upper._ranges.Length == 0)
        {
            return lower;
        }

        List<FlatRange> runs = new(upper._ranges.Length + lower._ranges.Length + 1);
        int next = 0;
        foreach (ref readonly FlatRange run in lower.Ranges)
        {
            GuestAddress first = run.Range.Start;
            bool hidden = false;
            for (; next < upper._ranges.Length && upper._ranges[next].Range.Start <= run.Range.Last; next++)
            {
                AddressRange above = upper._ranges[next].Range;
                if (first < above.Start)
                {
                    runs.Add(Cut(run, first, above.Start - 1));
                }

                // One that reaches past this run may hide some of the following ones as well.
                if (above.Last >= run.Range.Last)
                {
                    hidden = true;
                    break;
                }

                runs.Add(upper._ranges[next]);
                first = above.Last < first ? first : above.Last + 1;
            }

            if (!hidden)
            {
                runs.Add(Cut(run, first, run.Range.Last));
            }
        }

        runs.AddRange(upper.Ranges[next..]);
        return new FlatView([.. runs]);
    }

    /// <summary>The index of the run that holds <paramref name="address"/>, or -1.</summary>
    public int IndexOf(GuestAddress address)
    {
        int after = FirstStartingAbove(address);
        return after > 0 && _ranges[after - 1].Range.Contains(address) ? after - 1 : -1;
    }

    /// <summary>The same, asking <paramref name="cache"/> first and leaving the answer in it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public int IndexOf(GuestAddress address, ref LookupCache cache)
    {
        int index = cache.Index;
        FlatRange[] ranges = _ranges;
        if ((uint)index < (uint)ranges.Length && ranges[index].Range.Contains(address))
        {
            return index;
        }

        return SearchInto(address, ref cache);
    }

    /// <summary>
    /// How many of <paramref name="length"/> bytes from <paramref name="address"/> lie in the same run (its <paramref name="index"/> is given)
    /// or the same gap (index -1). At least 1 for a length of at least 1. The bytes must not pass 2^64.
    /// </summary>
    public int Extent(GuestAddress address, int length, out int index)
    {
        int after = FirstStartingAbove(address);
        ulong room;
        if (after > 0 && _ranges[after - 1].Range.Contains(address))
        {
            index = after - 1;
            room = _ranges[index].Range.Last - address;
        }
        else
        {
            index = -1;
            room = after < _ranges.Length ? _ranges[after].Range.Start - address - 1 : ulong.MaxValue;
        }

        return room < (ulong)length ? (int)room + 1 : length;
    }

    internal ref readonly FlatRange At(int index) => ref _ranges[index];

    private static FlatRange Cut(in FlatRange run, GuestAddress first, GuestAddress last) =>
        new(AddressRange.FromBounds(first, last), run.Region, run.OffsetOf(first));

    private int SearchInto(GuestAddress address, ref LookupCache cache)
    {
        int index = IndexOf(address);
        if (index >= 0)
        {
            cache.Index = index;
        }

        return index;
    }

    private int FirstStartingAbove(GuestAddress address)
    {
        int low = 0;
        int high = _ranges.Length;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (_ranges[middle].Range.Start <= address)
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
}
