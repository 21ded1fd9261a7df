namespace Aperture.Placement.Search;

/// <summary>Measures a settled layout.</summary>
internal static class Metering
{
    public static LayoutMetrics Of(Ground ground, BlockTree tree, Arenas arenas)
    {
        Extent hole = new(arenas.HoleStart, Math.Max(arenas.HoleStart, ground.Platform.Mmio32End.Value));
        List<Extent> taken =
        [
            .. arenas.Low.Obstacles.Select(obstacle => obstacle.Extent),
            .. tree.Root(ArenaKind.Low).Select(block => block.Placed),
        ];
        taken.Sort((left, right) => left.Start.CompareTo(right.Start));
        FreeSpace free = new([hole], taken);
        Extent largest = default;
        foreach (Extent gap in free.Spans)
        {
            largest = gap.Size > largest.Size ? gap : largest;
        }

        ulong used = 0;
        ulong end = Math.Max(arenas.Ram.LowEnd, arenas.Ram.High.Count == 0 ? 0 : arenas.Ram.HighEnd);
        foreach (Block block in tree.Root(ArenaKind.High))
        {
            used += block.Placed.Size;
            end = Math.Max(end, block.Placed.End);
        }

        foreach (Block block in tree.Root(ArenaKind.Low))
        {
            end = Math.Max(end, block.Placed.End);
        }

        foreach (Extent? ecam in arenas.Ecams)
        {
            end = Math.Max(end, ecam?.End ?? 0);
        }

        return new LayoutMetrics(
            hole.Size, hole.Size - free.Total, largest.IsEmpty ? default : largest.ToRange(), free.Spans.Count, used, new GuestAddress(end));
    }
}
