namespace Aperture.Placement.Search;

/// <summary>Settles what pins decide: pinned BARs and windows, and the windows that must cover them, together with what floats inside those windows.</summary>
internal sealed class ForcedPlacer(SearchBudget budget)
{
    private static readonly Growth[] Growths = [Growth.UpFirst, Growth.DownFirst, Growth.OnlyUp, Growth.OnlyDown];

    /// <summary>Settles the forced children of one bus and takes their places out of <paramref name="free"/>. Null on success.</summary>
    public Failure? Settle(IEnumerable<Block> children, FreeSpace free)
    {
        List<Block> forced = [.. children.Where(child => !child.Floats).OrderBy(child => child.Forced.Start)];
        foreach (Block block in forced)
        {
            free.Remove(block.Forced);
        }

        foreach (Block block in forced)
        {
            if (block is BarBlock bar)
            {
                bar.SettleAtPin();
                continue;
            }

            WindowBlock window = (WindowBlock)block;
            Extent room = window.IsPinned ? window.Forced : free.Around(window.Forced).Inward(window.Granule);
            if (Fill(window, room) is { } failure)
            {
                return failure;
            }

            free.Remove(window.Placed);
        }

        return null;
    }

    /// <summary>
    /// Settles a forced window inside <paramref name="room"/>: just there when it is pinned, else no larger than its content and reserve need.
    /// </summary>
    private Failure? Fill(WindowBlock window, Extent room)
    {
        FreeSpace free = new([room]);
        if (Settle(window.Children, free) is { } inner)
        {
            return inner;
        }

        Extent hull = window.Forced;
        List<Block> floating = [];
        foreach (Block child in window.Children)
        {
            hull = hull.Union(child.Placed);
            if (child.Floats)
            {
                floating.Add(child);
            }
        }

        if (floating.Find(child => child.Shapes.Length == 0) is { } huge)
        {
            return new Failure(huge, window, free, Total(floating));
        }

        if (Pack(free, HullPacker.Sorted(floating), window, ref hull, out List<Part> parts) is { } failed)
        {
            return new Failure(failed, window, free, Total(floating));
        }

        hull = hull.Outward(window.Granule);
        if (!window.IsPinned && window.Reserve > hull.Size && !TryWiden(ref hull, window.Reserve, room))
        {
            return new Failure(window, window, new FreeSpace([room]), window.Reserve);
        }

        foreach (Part part in parts)
        {
            part.Block.Settle(part.Shape, part.Start);
        }

        window.SettleAround(window.IsPinned ? window.Forced : hull);
        return null;
    }

    /// <summary>Widens a window to its reserve: from an aligned start where that is free, else upward as far as it goes and then downward.</summary>
    private static bool TryWiden(ref Extent hull, ulong reserve, Extent room)
    {
        ulong start = Align.Down(hull.Start, WindowShapes.LargestPower(reserve));
        Extent aligned = new(start, Math.Max(hull.End, start + reserve));
        if (room.Contains(aligned))
        {
            hull = aligned;
            return true;
        }

        if (room.Size < reserve)
        {
            return false;
        }

        ulong end = Math.Min(room.End, hull.Start + reserve);
        hull = new Extent(Math.Min(hull.Start, end - reserve), end);
        return true;
    }

    /// <summary>Tries each way to grow in turn, then any place in the room; the first refusal is the one reported.</summary>
    private Block? Pack(FreeSpace free, List<Block> sorted, WindowBlock window, ref Extent hull, out List<Part> parts)
    {
        Block? refused = null;
        parts = [];
        foreach (Growth growth in sorted.Count == 0 ? [] : Growths)
        {
            Extent grown = hull;
            parts = new List<Part>(sorted.Count);
            if (HullPacker.Pack(free.Clone(), sorted, ref grown, hull.Start, growth, parts) is not { } failed)
            {
                hull = grown;
                return null;
            }

            refused ??= failed;
        }

        if (refused is null)
        {
            return null;
        }

        parts = [];
        if (new PlaceSearch(sorted, 0, budget).Run(free, parts, goBack: true) >= 0)
        {
            return refused;
        }

        foreach (Part part in parts)
        {
            hull = hull.Union(part.Extent);
        }

        return null;
    }

    public static UInt128 Total(IEnumerable<Block> blocks) =>
        blocks.Aggregate((UInt128)0, (sum, block) => sum + (block.Shapes.Length == 0 ? UInt128.One << 64 : block.Shapes.Min(shape => shape.Size)));
}
