namespace Aperture.Placement;

/// <summary>Settles what pins decide: pinned BARs, and the windows that must cover them together with what floats inside those windows.</summary>
internal static class ForcedPlacer
{
    /// <summary>Settles the forced children of one bus and takes their places out of <paramref name="free"/>. Null on success.</summary>
    public static Failure? Settle(IEnumerable<Block> children, FreeSpace free)
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
            if (Fill(window, free.Around(window.Forced).Inward(window.Granule)) is { } failure)
            {
                return failure;
            }

            free.Remove(window.Placed);
        }

        return null;
    }

    /// <summary>Settles a pinned window inside <paramref name="room"/>, no larger than its content needs.</summary>
    private static Failure? Fill(WindowBlock window, Extent room)
    {
        FreeSpace free = new([room]);
        if (Settle(window.Children, free) is { } inner)
        {
            return inner;
        }

        Extent hull = window.Children.Aggregate(window.Forced, (all, child) => all.Union(child.Placed));
        List<Block> floating = [.. window.Children.Where(child => child.Floats)];
        if (floating.Find(child => child.Shapes.Count == 0) is { } huge)
        {
            return new Failure(huge, window, free, Total(floating));
        }

        if (Pack(free, HullPacker.Sorted(floating), ref hull, out List<Part> parts) is { } failed)
        {
            return new Failure(failed, window, free, Total(floating));
        }

        foreach (Part part in parts)
        {
            part.Block.Settle(part.Shape, part.Start);
        }

        window.SettleAround(hull.Outward(window.Granule));
        return null;
    }

    /// <summary>Tries each way to grow in turn; the first refusal is the one reported.</summary>
    private static Block? Pack(FreeSpace free, List<Block> sorted, ref Extent hull, out List<Part> parts)
    {
        Block? refused = null;
        foreach (Growth growth in Enum.GetValues<Growth>())
        {
            Extent grown = hull;
            parts = [];
            if (HullPacker.Pack(free.Clone(), sorted, ref grown, hull.Start, growth, parts) is not { } failed)
            {
                hull = grown;
                return null;
            }

            refused ??= failed;
        }

        parts = [];
        return refused;
    }

    public static UInt128 Total(IEnumerable<Block> blocks) =>
        blocks.Aggregate((UInt128)0, (sum, block) => sum + (block.Shapes.Count == 0 ? UInt128.One << 64 : block.Shapes.Min(shape => shape.Size)));
}
