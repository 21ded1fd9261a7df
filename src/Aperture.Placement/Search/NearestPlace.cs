namespace Aperture.Placement.Search;

/// <summary>The nearest places where a BAR could be pinned instead, given all other pins.</summary>
internal readonly record struct NearestPlace(AddressRange? Below, AddressRange? Above)
{
    private const ulong Farthest = 1UL << 61;

    /// <summary>The end of a sentence: <c>the nearest free place is 0x6b9000000000</c>; of two equally near the one above.</summary>
    public string Text(GuestAddress asked)
    {
        AddressRange? nearer = Below is { } below && (Above is not { } above || asked - below.Start < above.Start - asked) ? Below : Above;
        return nearer is { } place ? $"the nearest free place is {place.Start}" : "no free place would do";
    }

    /// <summary>
    /// Looks for places for <paramref name="bar"/> in <paramref name="arena"/>, whose root bus holds <paramref name="root"/>. A place must keep
    /// each window above it one run that covers nothing of its neighbours.
    /// </summary>
    public static NearestPlace Find(BarBlock bar, GuestAddress asked, Arena arena, IReadOnlyList<Block> root)
    {
        FreeSpace free = Room(bar, arena, root);
        Shape shape = bar.Shapes[0];
        ulong from = Math.Min(asked.Value, Farthest);
        AddressRange? below = free.TryLast(from + shape.Size, shape, out ulong low) && low <= asked.Value ? Extent.Sized(low, shape.Size).ToRange() : null;
        AddressRange? above = free.TryFirst(from + 1, shape, out ulong high) ? Extent.Sized(high, shape.Size).ToRange() : null;
        return new NearestPlace(below, above);
    }

    private static FreeSpace Room(BarBlock bar, Arena arena, IReadOnlyList<Block> root)
    {
        Stack<Block> path = new();
        for (Block? step = bar; step is not null; step = step.Parent)
        {
            path.Push(step);
        }

        FreeSpace free = arena.LegalOf(bar.Node.Host);
        free.Remove(new Extent(0, 1));
        IReadOnlyList<Block> siblings = root;
        foreach (Block step in path)
        {
            foreach (Block sibling in siblings.Where(sibling => sibling != step))
            {
                free.Remove(sibling.Forced);
            }

            if (step is WindowBlock window)
            {
                free = free.Inward(window.Granule);
                Extent hull = window.ForcedWithout(bar);
                free = hull.IsEmpty ? free : new FreeSpace([window.IsPinned ? hull : free.Enclosing(hull)]);
                siblings = window.Children;
            }
        }

        return free;
    }
}
