namespace Aperture.Placement;

/// <summary>
/// Packs floating blocks so that the window around them grows as little as possible: into gaps first, then wherever the window grows least.
/// Blocks come by falling alignment, so naturally aligned powers of two leave no gap at all.
/// </summary>
internal static class HullPacker
{
    /// <summary>The order that everything is packed in: most aligned first, then largest, then as the bus walk meets them.</summary>
    public static List<Block> Sorted(IEnumerable<Block> floating) =>
        [.. floating.OrderByDescending(block => block.Shapes[0].Alignment).ThenByDescending(block => block.Shapes[0].Size).ThenBy(block => block.Node.Order)];

    /// <summary>
    /// Packs <paramref name="sorted"/> into <paramref name="free"/>, which loses what is taken. <paramref name="hull"/> is what the window
    /// covers already, or empty with the first block going to <paramref name="seed"/> or above. Null on success, else the block without room.
    /// </summary>
    public static Block? Pack(FreeSpace free, List<Block> sorted, ref Extent hull, ulong seed, bool growUp, List<Part> placed)
    {
        foreach (Block block in sorted)
        {
            if (Best(free, block, hull, seed, growUp) is not { } part)
            {
                return block;
            }

            hull = hull.Union(part.Extent);
            free.Remove(part.Extent);
            placed.Add(part);
        }

        return null;
    }

    private static Part? Best(FreeSpace free, Block block, Extent hull, ulong seed, bool growUp)
    {
        Part? best = null;
        foreach (Shape shape in block.Shapes)
        {
            bool up = free.TryFirst(hull.IsEmpty ? seed : hull.Start, shape, out ulong above);
            bool down = free.TryLast(hull.IsEmpty ? seed : hull.End, shape, out ulong below);
            best = Better(best, up && growUp ? new Part(block, shape, above) : null, hull);
            best = Better(best, down ? new Part(block, shape, below) : null, hull);
            best = Better(best, up ? new Part(block, shape, above) : null, hull);
        }

        return best;
    }

    private static Part? Better(Part? best, Part? candidate, Extent hull) =>
        candidate is { } part && (best is not { } old || hull.Union(part.Extent).Size < hull.Union(old.Extent).Size) ? candidate : best;
}
