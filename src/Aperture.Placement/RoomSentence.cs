namespace Aperture.Placement;

/// <summary>A failure to find room, as a conflict: <see cref="PlacementConflictKind.NoSpace"/> only when it is proven.</summary>
internal static class RoomSentence
{
    public static PlacementConflict Of(Failure failure, Arena arena, bool proven)
    {
        string what = failure.Block is BarBlock bar ? bar.LongName : Describe((WindowBlock)failure.Block);
        string where = failure.Inside is { } window
            ? $"{window.Name}, which pinned BARs hold between its neighbours in {arena.Name}"
            : arena.Bounds.Count == 0 ? $"{arena.Name}, which does not exist here" : $"{arena.Name} {Spans(arena)}";
        string verb = proven ? "there is no room for" : "no place was found for";
        string asked = failure.Asked >> 63 == 0 ? ByteSize.Format((ulong)failure.Asked) : "more than 8388608T";
        string sentence = $"{verb} {what} in {where}: {asked} in all are asked for there, {ByteSize.Format(failure.Room.Total)} are free, and the largest gap is {ByteSize.Format(failure.Room.LargestGap)}";
        return new PlacementConflict(proven ? PlacementConflictKind.NoSpace : PlacementConflictKind.NotFound, failure.Block.Party(null), sentence)
        {
            Obstacle = failure.Inside is { } inside ? inside.Party(inside.Forced) : new ConflictParty(arena.Name),
        };
    }

    private static string Spans(Arena arena)
    {
        Extent all = arena.Automatic.Spans.Aggregate(default(Extent), (hull, span) => hull.Union(span));
        return all.IsEmpty ? arena.BoundsText : all.ToString();
    }

    private static string Describe(WindowBlock window)
    {
        ulong size = window.Shapes.Count == 0 ? 0 : window.Shapes[0].Size;
        BarBlock largest = Bars(window).MaxBy(bar => bar.Demand.Size)!;
        int others = Bars(window).Count() - 1;
        string rest = others switch { 0 => "", 1 => " and one more", _ => $" and {others} more" };
        return size == 0
            ? $"{window.Name} with {largest.LongName}{rest}"
            : $"{window.Name} ({ByteSize.Format(size)}, for {largest.LongName}{rest})";
    }

    private static IEnumerable<BarBlock> Bars(WindowBlock window) =>
        window.Children.SelectMany(child => child is WindowBlock inner ? Bars(inner) : [(BarBlock)child]);
}
