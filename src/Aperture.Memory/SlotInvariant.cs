namespace Aperture.Memory;

/// <summary>
/// The invariant: slots are exactly what the view says. Every slot shows the region, host memory and write permission that the view has at its
/// addresses, no two share an address, and every byte of RAM and device memory in the view is in one slot or in the list of trapped ranges. Knows nothing of
/// how slots are planned.
/// </summary>
public static class SlotInvariant
{
    /// <summary>Null when it holds, otherwise the first violation in one sentence.</summary>
    public static string? Check(FlatView view, IReadOnlyList<MemorySlot> slots, IReadOnlyList<TrappedRange> trapped)
    {
        List<(AddressRange Range, Region Region)> claims = [];
        foreach (MemorySlot slot in slots)
        {
            if (Compare(view, slot) is { } difference)
            {
                return difference;
            }

            claims.Add((slot.Range, slot.Region));
        }

        foreach (TrappedRange range in trapped)
        {
            claims.Add((range.Range, range.Region));
        }

        claims.Sort(static (left, right) => left.Range.CompareTo(right.Range));
        return Cover(view, claims);
    }

    private static string? Compare(FlatView view, in MemorySlot slot)
    {
        int index = view.IndexOf(slot.Range.Start);
        if (index < 0 || !view.At(index).Range.Contains(slot.Range))
        {
            return $"the slot {slot.Range} of {slot.Region.Name} is not inside one range of the view";
        }

        FlatRange run = view.At(index);
        Region region = run.Region;
        if (!ReferenceEquals(region, slot.Region) || region.Block is not { } block)
        {
            return $"the slot {slot.Range} shows {slot.Region.Name} where the view has {region.Name}";
        }

        ulong mask = MemorySlot.PageSize - 1;
        if (((slot.Range.Start.Value | slot.Range.Size | slot.Host.Value) & mask) != 0)
        {
            return $"the slot {slot.Range} of {region.Name} is not made of whole pages";
        }

        HostAddress host = block.HostAddress + (region.RamOffset + run.OffsetOf(slot.Range.Start));
        return host != slot.Host || region.IsReadOnly != slot.IsReadOnly
            ? $"the slot {slot.Range} of {region.Name} shows host memory {slot.Host} where the view has {host}, or other write permission"
            : null;
    }

    private static string? Cover(FlatView view, List<(AddressRange Range, Region Region)> claims)
    {
        int next = 0;
        foreach (ref readonly FlatRange run in view.Ranges)
        {
            if (run.Region.Block is null)
            {
                continue;
            }

            ulong covered = 0;
            for (; next < claims.Count && claims[next].Range.Start <= run.Range.Last; next++)
            {
                (AddressRange range, Region region) = claims[next];
                if (range.Start - run.Range.Start != covered || !run.Range.Contains(range) || !ReferenceEquals(region, run.Region))
                {
                    return $"{range} of {region.Name} overlaps, leaves a gap, or is not what the view has at {run.Range}, {run.Region.Name}";
                }

                covered += range.Size;
            }

            if (covered != run.Range.Size)
            {
                return $"the end of {run.Region.Name} at {run.Range} is neither in a slot nor in the list of trapped ranges";
            }
        }

        return next == claims.Count ? null : $"{claims[next].Range} of {claims[next].Region.Name} is not in the view";
    }
}
