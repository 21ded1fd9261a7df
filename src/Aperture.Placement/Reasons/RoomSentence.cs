using Aperture.Placement.Search;

namespace Aperture.Placement.Reasons;

/// <summary>A failure to find room, as a conflict: <see cref="PlacementConflictKind.NoSpace"/> only when it is proven.</summary>
internal static class RoomSentence
{
    public static PlacementConflict Of(Failure failure, Arena arena, bool proven)
    {
        int host = failure.Block.Node.Host;
        string what = failure.Block is BarBlock bar ? bar.Spec.LongName : Describe((WindowBlock)failure.Block);
        string where = failure.Inside is { } window
            ? $"{window.Name}, which {(window.IsPinned ? $"is pinned at {window.Forced}" : $"pinned BARs hold between its neighbours in {arena.Name}")}"
            : arena.BoundsOf(host).Count == 0 ? $"{arena.Name}, which does not exist here" : $"{arena.Name} {Spans(arena, host)}";
        string verb = proven ? "there is no room for" : "no place was found for";
        string asked = failure.Asked >> 63 == 0 ? ByteSize.Format((ulong)failure.Asked) : "more than 8388608T";
        string sentence = $"{verb} {what} in {where}: {asked} in all are asked for there, {ByteSize.Format(failure.Room.Total)} are free, and the largest gap "
            + $"is {ByteSize.Format(failure.Room.LargestGap)}";
        return new PlacementConflict(proven ? PlacementConflictKind.NoSpace : PlacementConflictKind.NotFound, failure.Block.Party(null), sentence)
        {
            Obstacle = failure.Inside is { } inside ? inside.Party(inside.Forced) : new ConflictParty(arena.Name),
        };
    }

    private static string Spans(Arena arena, int host)
    {
        Extent all = arena.AutomaticOf(host).Spans.Aggregate(default(Extent), (hull, span) => hull.Union(span));
        return all.IsEmpty ? arena.BoundsText(host) : all.ToString();
    }

    private static string Describe(WindowBlock window)
    {
        ulong size = window.Shapes.Length == 0 ? 0 : window.Shapes[0].Size;
        List<BarBlock> bars = [.. Bars(window)];
        if (bars.Count == 0)
        {
            return $"{window.Name} ({ByteSize.Format(size)}, kept for hotplug)";
        }

        BarBlock largest = bars.MaxBy(bar => bar.Spec.Size)!;
        int others = bars.Count - 1;
        string rest = others switch { 0 => "", 1 => " and one more", _ => $" and {others} more" };
        return size == 0
            ? $"{window.Name} with {largest.Spec.LongName}{rest}"
            : $"{window.Name} ({ByteSize.Format(size)}, for {largest.Spec.LongName}{rest})";
    }

    private static IEnumerable<BarBlock> Bars(WindowBlock window) =>
        window.Children.SelectMany(child => child is WindowBlock inner ? Bars(inner) : [(BarBlock)child]);
}
