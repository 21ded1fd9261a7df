namespace Aperture.Placement;

/// <summary>
/// Places everything on the root bus in one arena. What is pinned comes first. The rest goes by falling alignment to the lowest place that
/// fits, which for naturally aligned powers of two finds a layout whenever there is one: a block of 2^k in a free slot of 2^k costs every
/// smaller size the same number of slots, wherever it goes. Windows are not powers of two, so for them the search goes back, within a budget.
/// </summary>
internal sealed class BusPacker
{
    private const int Budget = 20_000;
    private const int PlacesPerShape = 12;

    private readonly List<Block> _sorted;
    private readonly List<Part> _placed = [];
    private int _budget = Budget;
    private int _deepest = -1;

    private BusPacker(List<Block> sorted) => _sorted = sorted;

    /// <summary>Settles the blocks; null on success.</summary>
    public static Failure? Place(Arena arena, IReadOnlyList<Block> children)
    {
        FreeSpace legal = arena.Legal.Clone();
        if (ForcedPlacer.Settle(children, legal) is { } pinned)
        {
            return pinned;
        }

        List<Block> floating = [.. children.Where(child => child.Floats)];
        if (floating.Count == 0)
        {
            return null;
        }

        FreeSpace free = arena.Automatic.Clone();
        foreach (Block block in children)
        {
            free.Remove(block.Placed);
        }

        UInt128 asked = ForcedPlacer.Total(floating);
        if (floating.Find(block => !block.Shapes.Any(shape => free.TryFirst(0, shape, out _))) is { } alone)
        {
            return new Failure(alone, null, free, asked);
        }

        BusPacker packer = new(HullPacker.Sorted(floating));
        if (packer.Search(0, free.Clone()))
        {
            foreach (Part part in packer._placed)
            {
                part.Block.Settle(part.Shape, part.Start);
            }

            return null;
        }

        return new Failure(packer._sorted[packer._deepest], null, free, asked);
    }

    private bool Search(int index, FreeSpace free)
    {
        int mark = _placed.Count;
        for (; index < _sorted.Count && _sorted[index] is BarBlock; index++)
        {
            Shape shape = _sorted[index].Shapes[0];
            if (!free.TryFirst(0, shape, out ulong start))
            {
                return Fail(index, mark);
            }

            Take(new Part(_sorted[index], shape, start), free);
        }

        if (index == _sorted.Count)
        {
            return true;
        }

        FreeSpace next = free.Clone();
        int here = _placed.Count;
        foreach (Part part in Candidates(_sorted[index], free))
        {
            if (_budget-- <= 0)
            {
                break;
            }

            next.CopyFrom(free);
            Take(part, next);
            if (Search(index + 1, next))
            {
                return true;
            }

            _placed.RemoveRange(here, _placed.Count - here);
        }

        return Fail(index, mark);
    }

    private void Take(Part part, FreeSpace free)
    {
        free.Remove(part.Extent);
        _placed.Add(part);
    }

    private bool Fail(int index, int mark)
    {
        _deepest = Math.Max(_deepest, index);
        _placed.RemoveRange(mark, _placed.Count - mark);
        return false;
    }

    /// <summary>The places worth trying: for each shape the low and the high end of every gap; lowest first.</summary>
    private static IEnumerable<Part> Candidates(Block block, FreeSpace free)
    {
        List<Part> parts = [];
        foreach (Shape shape in block.Shapes)
        {
            int places = 0;
            for (ulong floor = 0; places < PlacesPerShape && free.TryFirst(floor, shape, out ulong start); places++)
            {
                parts.Add(new Part(block, shape, start));
                Extent gap = free.Enclosing(Extent.Sized(start, shape.Size));
                if (free.TryLast(gap.End, shape, out ulong last) && last > start)
                {
                    parts.Add(new Part(block, shape, last));
                }

                floor = gap.End;
            }
        }

        return parts.OrderBy(part => part.Start);
    }
}
