using Aperture.Placement.Map;
using Aperture.Placement.Search;

namespace Aperture.Placement.Reasons;

/// <summary>A failure to find room, as a conflict: <see cref="PlacementConflictKind.NoSpace"/> only when it is proven.</summary>
internal static class RoomSentence
{
    private const int MostPlaces = 64;
    private const int MostInTheWay = 2;

    public static PlacementConflict Of(Failure failure, Arena arena, bool proven)
    {
        int host = failure.Block.Node.Host;
        string what = failure.Block is BarBlock bar ? bar.Spec.LongName : Describe((WindowBlock)failure.Block);
        string where = failure.Inside is { } window
            ? $"{window.Name}, which {(window.IsPinned ? $"is pinned at {window.Forced}" : $"pinned BARs hold between its neighbours in {arena.Name}")}"
            : arena.BoundsOf(host).Count == 0 ? $"{arena.Name}, which does not exist here" : $"{arena.Name} {Spans(arena, host)}";
        string verb = proven ? "there is no room for" : "no place was found for";
        string asked = failure.Asked >> 63 == 0 ? ByteSize.Format((ulong)failure.Asked) : "more than 8388608T";
        string sentence = $"{verb} {what} in {where}: {asked} in all are asked for there, {ByteSize.Format(failure.Room.Total)} are free, "
            + $"and the largest gap is {ByteSize.Format(failure.Room.LargestGap)}{Alignment(failure, arena)}";
        return new PlacementConflict(proven ? PlacementConflictKind.NoSpace : PlacementConflictKind.NotFound, failure.Block.Party(null), sentence)
        {
            Obstacle = failure.Inside is { } inside ? inside.Party(inside.Forced) : new ConflictParty(arena.Name),
        };
    }

    /// <summary>What the numbers do not show: that a gap is large enough, and that what decides is where a thing must start.</summary>
    private static string Alignment(Failure failure, Arena arena)
    {
        if (failure.Block.Shapes is not [var shape, ..] || shape.Size > failure.Room.LargestGap)
        {
            return "";
        }

        string unit = ByteSize.Format(shape.Alignment);
        if (failure.Block.Shapes.Any(other => failure.Room.TryFirst(1, other, out _)))
        {
            return failure.Asked <= failure.Room.Total ? "; the gaps do not hold all of it at multiples of its alignment" : "";
        }

        return $"; it must start at a multiple of {unit}{string.Concat(InTheWay(shape, failure, arena).Take(MostInTheWay).Select(part => $", and {part}"))}";
    }

    /// <summary>The places where the block could start, were it not for something else: who is there.</summary>
    private static IEnumerable<string> InTheWay(Shape shape, Failure failure, Arena arena)
    {
        Extent bounds = failure.Room.Spans.Aggregate(default(Extent), (hull, span) => hull.Union(span));
        ulong start = shape.StartAtOrAbove(Math.Max(bounds.Start, 1));
        for (int place = 0; place < MostPlaces && start < bounds.End; place++, start += shape.Alignment)
        {
            Extent extent = Extent.Sized(start, shape.Size);
            if (extent.End > bounds.End && arena.Blocking(extent) is null)
            {
                yield return $"at 0x{start:x} it would pass the end, 0x{bounds.End - 1:x}";
            }
            else if (arena.Blocking(extent) is { } taken)
            {
                yield return $"{taken.Origin} at {taken.Extent} is in the way at 0x{start:x}";
            }
        }
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
