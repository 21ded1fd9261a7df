using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Aperture.Memory;

/// <summary>Which slots a view needs, and which RAM and device memory stays trapped and why. A pure function of the view and the number of slots.</summary>
/// <param name="Slots">The slots, in address order, disjoint.</param>
/// <param name="Trapped">The rest of the view's RAM and device memory.</param>
public sealed record SlotPlan(ImmutableArray<MemorySlot> Slots, ImmutableArray<TrappedRange> Trapped)
{
    /// <summary>
    /// Plans for <paramref name="view"/> with at most <paramref name="maxSlots"/> slots. When they do not suffice, RAM that must be mapped comes
    /// first, then lower addresses.
    /// </summary>
    public static SlotPlan For(FlatView view, int maxSlots)
    {
        SlotPlan whole = Of(view.Ranges);
        return whole.Slots.Length <= maxSlots ? whole : Ration(whole.Slots, maxSlots, [.. whole.Trapped]);
    }

    /// <summary>The slots of these runs alone, however many there are; what a view's plan has of them while slots suffice.</summary>
    internal static SlotPlan Of(ReadOnlySpan<FlatRange> runs)
    {
        List<MemorySlot> wanted = [];
        List<TrappedRange> trapped = [];
        foreach (ref readonly FlatRange run in runs)
        {
            if (run.Region.Block is not null)
            {
                Cut(run, wanted, trapped);
            }
        }

        return new SlotPlan(Freeze(wanted), Freeze(trapped));
    }

    /// <summary>Where in <see cref="Slots"/> exactly <paramref name="slot"/> is, or -1.</summary>
    internal int IndexOf(in MemorySlot slot)
    {
        int low = 0;
        int high = Slots.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            GuestAddress start = Slots[middle].Range.Start;
            if (start == slot.Range.Start)
            {
                return Slots[middle] == slot ? middle : -1;
            }

            (low, high) = start < slot.Range.Start ? (middle + 1, high) : (low, middle - 1);
        }

        return -1;
    }

    // Pages inside the run become slots; what is left of a page on either side stays trapped, as KVM maps whole pages only.
    private static void Cut(in FlatRange run, List<MemorySlot> wanted, List<TrappedRange> trapped)
    {
        Region region = run.Region;
        HostAddress host = region.Block!.HostAddress + (region.RamOffset + run.OffsetInRegion);
        GuestAddress start = run.Range.Start;
        if (((start.Value ^ host.Value) & (MemorySlot.PageSize - 1)) != 0)
        {
            trapped.Add(new TrappedRange(run.Range, region,
                $"guest address {start} and the host memory behind it lie at different offsets in their pages"));
            return;
        }

        ulong end = run.Range.Last.Value + 1; // does not wrap: a space ends below 2^64 - 1
        ulong first = Math.Min(start.AlignUp(MemorySlot.PageSize).Value, end);
        ulong last = Math.Max(new GuestAddress(end).AlignDown(MemorySlot.PageSize).Value, first);
        if (first < start.Value)
        {
            first = last = end; // aligning up passed 2^64: there is no whole page
        }

        Trap(start.Value, first, region, trapped);
        for (ulong at = first; at < last;)
        {
            ulong size = Math.Min(last - at, MemorySlot.MaxSize - (at & (MemorySlot.MaxSize - 1)));
            wanted.Add(new MemorySlot(new AddressRange(new GuestAddress(at), size), host + (at - start.Value), region.IsReadOnly, region));
            at += size;
        }

        Trap(last, end, region, trapped);
    }

    private static void Trap(ulong from, ulong to, Region region, List<TrappedRange> trapped)
    {
        if (from < to)
        {
            trapped.Add(new TrappedRange(new AddressRange(new GuestAddress(from), to - from), region, "less than a whole 4 KiB page"));
        }
    }

    private static SlotPlan Ration(ImmutableArray<MemorySlot> wanted, int maxSlots, List<TrappedRange> trapped)
    {
        int must = wanted.Count(static slot => slot.Region.MustBeMapped);
        int forOthers = Math.Max(0, maxSlots - must);
        int forMust = Math.Min(maxSlots, must);
        List<MemorySlot> slots = new(maxSlots);
        foreach (MemorySlot slot in wanted)
        {
            ref int left = ref slot.Region.MustBeMapped ? ref forMust : ref forOthers;
            if (left > 0)
            {
                left--;
                slots.Add(slot);
            }
            else
            {
                trapped.Add(new TrappedRange(slot.Range, slot.Region, $"all {maxSlots} memory slots of the hypervisor are in use"));
            }
        }

        return new SlotPlan(Freeze(slots), Freeze(trapped));
    }

    private static ImmutableArray<T> Freeze<T>(List<T> items) => ImmutableCollectionsMarshal.AsImmutableArray(items.ToArray());
}
