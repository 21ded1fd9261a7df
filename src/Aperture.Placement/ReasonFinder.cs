namespace Aperture.Placement;

/// <summary>Says of a settled BAR why it is where it is.</summary>
internal sealed class ReasonFinder
{
    private readonly BlockTree _tree;
    private readonly Arenas _arenas;
    private readonly Dictionary<ArenaKind, List<Block>> _byAddress = [];

    public ReasonFinder(BlockTree tree, Arenas arenas)
    {
        _tree = tree;
        _arenas = arenas;
        foreach (ArenaKind kind in Enum.GetValues<ArenaKind>())
        {
            _byAddress.Add(kind, [.. tree.Root(kind).OrderBy(block => block.Placed.Start)]);
        }
    }

    public PlacementReason Of(BarBlock bar)
    {
        if (!bar.Floats)
        {
            return new PlacementReason(PlacementReasonKind.Pinned) { Alignment = bar.Demand.Size };
        }

        if (bar.Parent is { } window)
        {
            return new PlacementReason(PlacementReasonKind.BridgeWindow) { Alignment = bar.Demand.Size, Window = window.Name, WindowRange = window.Placed.ToRange() };
        }

        ArenaKind kind = BlockTree.ArenaOf(bar, _tree);
        Arena arena = _arenas[kind];
        ulong size = bar.Demand.Size;
        return InTheWay(bar, arena, _byAddress[kind]) is { } obstacle
            ? new PlacementReason(PlacementReasonKind.Pushed) { Alignment = size, Window = arena.Name, PushedBy = obstacle }
            : new PlacementReason(PlacementReasonKind.FirstFit) { Alignment = size, Window = arena.Name };
    }

    /// <summary>Who holds the aligned place right below, or failing that the lowest one in the window; null when neither exists.</summary>
    private static string? InTheWay(BarBlock bar, Arena arena, List<Block> byAddress)
    {
        ulong size = bar.Demand.Size;
        ulong start = bar.Placed.Start;
        ulong lowest = Align.Up(arena.WindowStart, size);
        if (start <= lowest)
        {
            return null;
        }

        return Holder(Extent.Sized(start - size, size), arena, byAddress) ?? Holder(Extent.Sized(lowest, size), arena, byAddress);
    }

    private static string? Holder(Extent place, Arena arena, List<Block> byAddress)
    {
        // Root blocks are disjoint, so their ends are as sorted as their starts.
        int low = 0;
        int high = byAddress.Count;
        while (low < high)
        {
            int middle = (low + high) >> 1;
            (low, high) = byAddress[middle].Placed.End > place.Start ? (low, middle) : (middle + 1, high);
        }

        return low < byAddress.Count && byAddress[low].Placed.Overlaps(place) ? byAddress[low].Name : arena.Blocking(place)?.Origin;
    }
}
