namespace Aperture.Placement.Search;

/// <summary>
/// Finds places for sorted floating blocks in free space. Everything goes to the lowest place that fits, by falling alignment, which for naturally
/// aligned powers of two finds a layout whenever there is one: a block of 2^k in a free slot of 2^k costs every smaller size the same
/// number of slots, wherever it goes. Windows and rows of VFs are not powers of two, so for them the search goes back, within its budget.
/// </summary>
internal sealed class PlaceSearch(List<Block> sorted, ulong floor, SearchBudget budget)
{
    private const int PlacesPerShape = 12;

    private List<Part> _placed = [];
    private int _tries;
    private int _deepest = -1;

    /// <summary>Adds a place for every block to <paramref name="placed"/>; returns -1, or the index of the block that found none.</summary>
    public int Run(FreeSpace free, List<Part> placed, bool goBack)
    {
        _placed = placed;
        int failed = StraightOn(free.Clone());
        if (failed < 0 || !goBack)
        {
            return failed;
        }

        _placed.Clear();
        int odd = sorted.Count(block => !IsNatural(block));
        if (odd == 0 || odd > SearchBudget.MostBlocks || sorted.Exists(block => !Fits(block, free)))
        {
            return failed;
        }

        int most = budget.Next;
        _tries = most;
        bool found = Search(0, free.Clone());
        budget.Spend(most - Math.Max(0, _tries));
        return found ? -1 : Math.Max(0, _deepest);
    }

    private bool Fits(Block block, FreeSpace free) => block.Shapes.Any(shape => free.TryFirst(floor, shape, out _));

    private static bool IsNatural(Block block) => block is BarBlock { IsNatural: true };

    /// <summary>The first path of the search: every block at its lowest place.</summary>
    private int StraightOn(FreeSpace free)
    {
        // Blocks of one size in a row never find a place below the previous one.
        ulong size = 0;
        ulong past = floor;
        for (int index = 0; index < sorted.Count; index++)
        {
            Block block = sorted[index];
            bool natural = IsNatural(block);
            past = natural && block.Shapes[0].Size == size ? past : floor;
            size = natural ? block.Shapes[0].Size : 0;
            Part? lowest = null;
            foreach (Shape shape in block.Shapes)
            {
                if (free.TryFirst(past, shape, out ulong start) && !(lowest?.Start <= start))
                {
                    lowest = new Part(block, shape, start);
                }
            }

            if (lowest is not { } part)
            {
                return index;
            }

            Take(part, free);
            past = part.Extent.End;
        }

        return -1;
    }

    private bool Search(int index, FreeSpace free)
    {
        int mark = _placed.Count;
        for (; index < sorted.Count && IsNatural(sorted[index]); index++)
        {
            Shape shape = sorted[index].Shapes[0];
            if (!free.TryFirst(floor, shape, out ulong start))
            {
                return Fail(index, mark);
            }

            Take(new Part(sorted[index], shape, start), free);
        }

        if (index == sorted.Count)
        {
            return true;
        }

        FreeSpace next = free.Clone();
        int here = _placed.Count;
        foreach (Part part in Candidates(sorted[index], free))
        {
            if (_tries-- <= 0)
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
    private IEnumerable<Part> Candidates(Block block, FreeSpace free)
    {
        List<Part> parts = [];
        foreach (Shape shape in block.Shapes)
        {
            int places = 0;
            for (ulong from = floor; places < PlacesPerShape && free.TryFirst(from, shape, out ulong start); places++)
            {
                parts.Add(new Part(block, shape, start));
                Extent gap = free.Enclosing(Extent.Sized(start, shape.Size));
                if (free.TryLast(gap.End, shape, out ulong last) && last > start)
                {
                    parts.Add(new Part(block, shape, last));
                }

                from = gap.End;
            }
        }

        return parts.OrderBy(part => part.Start);
    }
}
