using Aperture.Firmware.Memory;

namespace Aperture.Firmware.Boot;

/// <summary>The RAM below 4 GiB that a boot may fill, less what it has taken already.</summary>
internal sealed class LoadArea
{
    private readonly List<AddressRange> _ram = [];
    private readonly List<AddressRange> _taken = [];

    public LoadArea(IEnumerable<MemoryMapEntry> map)
    {
        var below4G = new AddressRange(GuestAddress.Zero, 1UL << 32);
        foreach (MemoryMapEntry entry in map)
        {
            if (entry.Kind == MemoryKind.Ram && entry.Range.Intersect(below4G) is { IsEmpty: false } low)
            {
                _ram.Add(low);
            }
        }

        _ram.Sort();
    }

    /// <summary>Bytes of RAM below 4 GiB.</summary>
    public ulong RamSize
    {
        get
        {
            ulong sum = 0;
            foreach (AddressRange range in _ram)
            {
                sum += range.Size;
            }

            return sum;
        }
    }

    /// <summary>The largest run of free bytes from <paramref name="lowest"/> to <paramref name="highest"/>.</summary>
    public ulong LargestFree(GuestAddress lowest, GuestAddress highest)
    {
        ulong largest = 0;
        foreach (AddressRange free in Free(lowest, highest))
        {
            largest = Math.Max(largest, free.Size);
        }

        return largest;
    }

    /// <summary>Takes exactly <paramref name="range"/>, if all of it is free RAM.</summary>
    public bool TryTake(AddressRange range)
    {
        bool free = _ram.Exists(ram => ram.Contains(range)) && !_taken.Exists(range.Overlaps);
        if (free)
        {
            _taken.Add(range);
        }

        return free;
    }

    /// <summary>Takes the lowest fit at a multiple of <paramref name="alignment"/>, from <paramref name="lowest"/> on.</summary>
    public AddressRange? TakeLowest(ulong size, ulong alignment, GuestAddress lowest)
    {
        foreach (AddressRange free in Free(lowest, new GuestAddress(uint.MaxValue)))
        {
            // Free ranges end below 4 GiB and alignments are at most 2 GiB, so nothing wraps.
            GuestAddress start = free.Start.AlignUp(alignment);
            if (start <= free.Last && free.Last - start >= size - 1)
            {
                var found = new AddressRange(start, size);
                _taken.Add(found);
                return found;
            }
        }

        return null;
    }

    /// <summary>
    /// Takes the highest fit at a multiple of <paramref name="alignment"/> whose bytes lie from <paramref name="lowest"/> to <paramref name="highest"/>.
    /// </summary>
    public AddressRange? TakeHighest(ulong size, ulong alignment, GuestAddress lowest, GuestAddress highest)
    {
        List<AddressRange> all = Free(lowest, highest);
        for (int i = all.Count - 1; i >= 0; i--)
        {
            AddressRange free = all[i];
            if (free.Size < size)
            {
                continue;
            }

            GuestAddress start = (free.Last - (size - 1)).AlignDown(alignment);
            if (start >= free.Start)
            {
                var found = new AddressRange(start, size);
                _taken.Add(found);
                return found;
            }
        }

        return null;
    }

    /// <summary>The free runs inside the bounds, by rising address.</summary>
    private List<AddressRange> Free(GuestAddress lowest, GuestAddress highest)
    {
        List<AddressRange> free = [];
        if (highest < lowest)
        {
            return free;
        }

        // The map's builder has the same painting rule: RAM, with what is taken painted out.
        IEnumerable<MemoryMapEntry> taken = _taken.Select(static range => new MemoryMapEntry(range, MemoryKind.Reserved));
        var bounds = AddressRange.FromBounds(lowest, highest);
        foreach (MemoryMapEntry entry in MemoryMap.Build(_ram, taken))
        {
            if (entry.Kind == MemoryKind.Ram && entry.Range.Intersect(bounds) is { IsEmpty: false } inside)
            {
                free.Add(inside);
            }
        }

        return free;
    }
}
