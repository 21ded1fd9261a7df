namespace Aperture.Placement.Search;

/// <summary>
/// Packs floating blocks so that the window around them grows as little as possible: into gaps first, then wherever the window grows least.
/// Blocks come by falling alignment, so naturally aligned powers of two leave no gap at all.
/// </summary>
internal static class HullPacker
{
    /// <summary>The order that everything is packed in: most aligned first, then largest, then as the bus walk meets them. Every block has a shape.</summary>
    public static List<Block> Sorted(IEnumerable<Block> floating)
    {
        List<(ulong Alignment, ulong Size, int Index, Block Block)> keyed = [];
        foreach (Block block in floating)
        {
            Shape shape = block.Shapes[0];
            keyed.Add((shape.Alignment, shape.Size, keyed.Count, block));
        }

        keyed.Sort(static (left, right) =>
        {
            int byAlignment = right.Alignment.CompareTo(left.Alignment);
            int bySize = byAlignment != 0 ? byAlignment : right.Size.CompareTo(left.Size);
            int byOrder = bySize != 0 ? bySize : left.Block.Node.Order.CompareTo(right.Block.Node.Order);
            return byOrder != 0 ? byOrder : left.Index.CompareTo(right.Index);
        });
        List<Block> sorted = new(keyed.Count);
        foreach ((_, _, _, Block block) in keyed)
        {
            sorted.Add(block);
        }

        return sorted;
    }

    /// <summary>
    /// Packs <paramref name="sorted"/> into <paramref name="free"/>, which loses what is taken. <paramref name="hull"/> is what the window
    /// covers already, or empty with the first block going to <paramref name="seed"/> or above. Null on success, else the block without room.
    /// </summary>
    public static Block? Pack(FreeSpace free, List<Block> sorted, ref Extent hull, ulong seed, Growth growth, List<Part> placed)
    {
        foreach (Block block in sorted)
        {
            if (Best(free, block, hull, seed, growth) is not { } part)
            {
                return block;
            }

            hull = hull.Union(part.Extent);
            free.Remove(part.Extent);
            placed.Add(part);
        }

        return null;
    }

    private static Part? Best(FreeSpace free, Block block, Extent hull, ulong seed, Growth growth)
    {
        Part? best = null;
        bool choosy = AnyOneSided(block.Shapes, growth);
        foreach (Shape shape in block.Shapes)
        {
            if (choosy && !IsOneSided(shape, growth))
            {
                continue;
            }

            Part? up = growth != Growth.OnlyDown && free.TryFirst(hull.IsEmpty ? seed : hull.Start, shape, out ulong above)
                ? new Part(block, shape, above) : null;
            Part? down = growth != Growth.OnlyUp && free.TryLast(hull.IsEmpty ? seed : hull.End, shape, out ulong below) ? new Part(block, shape, below) : null;
            (Part? first, Part? second) = growth == Growth.DownFirst ? (down, up) : (up, down);
            best = Better(Better(best, first, hull), second, hull);
        }

        return best;
    }

    /// <summary>One-sided growth wants one-sided parts, so that a window nested in others keeps an aligned end through all of them.</summary>
    private static bool AnyOneSided(Shape[] shapes, Growth growth)
    {
        foreach (Shape shape in shapes)
        {
            if (IsOneSided(shape, growth))
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsOneSided(Shape shape, Growth growth) => growth switch
    {
        Growth.OnlyUp => shape.Phase == 0,
        Growth.OnlyDown => ((shape.Phase + shape.Size) & (shape.Alignment - 1)) == 0,
        _ => false,
    };

    private static Part? Better(Part? best, Part? candidate, Extent hull) =>
        candidate is { } part && (best is not { } old || hull.Union(part.Extent).Size < hull.Union(old.Extent).Size) ? candidate : best;
}

/// <summary>Which side of what is there already the next block goes to.</summary>
internal enum Growth
{
    /// <summary>Wherever the window grows least; above when both sides are alike.</summary>
    UpFirst,

    /// <summary>Wherever the window grows least; below when both sides are alike.</summary>
    DownFirst,

    /// <summary>Never below: the window starts at its most aligned part, and so fits at the start of a large aligned gap.</summary>
    OnlyUp,

    /// <summary>Never above: the window ends with its most aligned part.</summary>
    OnlyDown,
}
