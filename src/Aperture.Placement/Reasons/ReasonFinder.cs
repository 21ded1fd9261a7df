using Aperture.Placement.Map;
using Aperture.Placement.Search;

namespace Aperture.Placement.Reasons;

/// <summary>Says of a settled BAR why it is where it is.</summary>
internal sealed class ReasonFinder
{
    private readonly Arenas _arenas;
    private readonly Dictionary<ArenaKind, List<Block>> _byAddress = [];
    private readonly Dictionary<WindowBlock, (string Name, AddressRange Range)> _windows = [];

    public ReasonFinder(BlockTree tree, Arenas arenas)
    {
        _arenas = arenas;
        foreach (ArenaKind kind in Enum.GetValues<ArenaKind>())
        {
            _byAddress.Add(kind, [.. tree.Root(kind).OrderBy(block => block.Placed.Start)]);
        }
    }

    public PlacementReason Of(BarBlock bar)
    {
        ulong unit = bar.Spec.Unit;
        if (!bar.Floats)
        {
            return new PlacementReason(PlacementReasonKind.Pinned) { Alignment = unit, AsOnHost = bar.Spec.Demand.PinIsHosts };
        }

        if (bar.Parent is { } window)
        {
            (string name, AddressRange range) = Window(window);
            return new PlacementReason(PlacementReasonKind.BridgeWindow) { Alignment = unit, Window = name, WindowRange = range };
        }

        Arena arena = _arenas[bar.Arena];
        return InTheWay(bar, arena, _byAddress[bar.Arena]) is { } obstacle
            ? new PlacementReason(PlacementReasonKind.Pushed) { Alignment = unit, Window = arena.Name, PushedBy = obstacle }
            : new PlacementReason(PlacementReasonKind.FirstFit) { Alignment = unit, Window = arena.Name };
    }

    private (string Name, AddressRange Range) Window(WindowBlock window)
    {
        if (!_windows.TryGetValue(window, out (string, AddressRange) known))
        {
            _windows.Add(window, known = (window.Name, window.Placed.ToRange()));
        }

        return known;
    }

    /// <summary>Who holds the aligned place right below, or failing that the lowest one in the window; null when neither exists.</summary>
    private static string? InTheWay(BarBlock bar, Arena arena, List<Block> byAddress)
    {
        ulong unit = bar.Spec.Unit;
        ulong start = bar.Placed.Start;
        ulong lowest = Align.Up(arena.IsSet(bar.Node.Host) ? arena.BoundsOf(bar.Node.Host)[0].Start : arena.WindowStart, unit);
        if (start <= lowest)
        {
            return null;
        }

        return Holder(Extent.Sized(start - unit, unit), arena, byAddress) ?? Holder(Extent.Sized(lowest, unit), arena, byAddress);
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
