using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>Finds places for the ECAM ranges that nobody pinned.</summary>
internal static class EcamPlacer
{
    /// <summary>Fills in what is missing in <paramref name="ecams"/>; returns the segment that found no place, or -1.</summary>
    public static int Place(Ground ground, Arenas arenas, BlockTree tree, Extent?[] ecams)
    {
        for (int segment = 0; segment < ecams.Length; segment++)
        {
            if (ecams[segment] is not null || ground.Ecams[segment] is not { } demand)
            {
                continue;
            }

            Extent? place = segment == 0 && demand.Preferred is null
                ? FindLow(demand, ground, arenas, tree, ecams)
                : FindHigh(demand, ground, arenas, tree, ecams) ?? FindLow(demand, ground, arenas, tree, ecams);
            if (place is null)
            {
                return segment;
            }

            ecams[segment] = place;
        }

        return -1;
    }

    /// <summary>The lowest aligned place in the automatic 32-bit space that pins leave; else in all of the hole, windows that the user set last.</summary>
    private static Extent? FindLow(EcamDemand ecam, Ground ground, Arenas arenas, BlockTree tree, Extent?[] others)
    {
        PlatformLimits platform = ground.Platform;
        Shape shape = new(ecam.Size, ecam.Size, 0, []);
        FreeSpace hole = new([new Extent(arenas.HoleStart, platform.Mmio32End.Value)]);
        foreach (Extent taken in Taken(arenas.Low, tree.Root(ArenaKind.Low), others))
        {
            hole.Remove(taken);
        }

        FreeSpace beside = hole.Clone();
        beside.Remove(platform.Mmio32Window is { } set ? Extent.Of(set) : default);
        foreach (Extent window in ground.SetWindows(ArenaKind.Low).SelectMany(windows => windows ?? []))
        {
            beside.Remove(window);
        }

        ulong preferred = platform.Hole == LowHole.Compact ? 0 : platform.LowRamCeiling;
        return beside.TryFirst(preferred, shape, out ulong start)
            || beside.TryFirst(0, shape, out start)
            || hole.TryFirst(0, shape, out start)
            ? Extent.Sized(start, ecam.Size)
            : null;
    }

    /// <summary>
    /// The preferred place, or the highest aligned one above 4 GiB, where it stands in nobody's way; windows that the user set are left alone.
    /// </summary>
    private static Extent? FindHigh(EcamDemand ecam, Ground ground, Arenas arenas, BlockTree tree, Extent?[] others)
    {
        FreeSpace free = new([new Extent(arenas.Ram.HighEnd, Math.Max(arenas.Ram.HighEnd, ground.SpaceEnd))]);
        foreach (Extent taken in Taken(arenas.High, tree.Root(ArenaKind.High), others).Concat(arenas.High.SetWindows))
        {
            free.Remove(taken);
        }

        free.Remove(ground.Platform.Mmio64Window is { } set ? Extent.Of(set) : default);
        if (ecam.Preferred is { } preferred && free.Spans.Any(span => span.Contains(Extent.Sized(preferred.Value, ecam.Size))))
        {
            return Extent.Sized(preferred.Value, ecam.Size);
        }

        return free.TryLast(ulong.MaxValue, new Shape(ecam.Size, ecam.Size, 0, []), out ulong start) ? Extent.Sized(start, ecam.Size) : null;
    }

    private static IEnumerable<Extent> Taken(Arena arena, IReadOnlyList<Block> root, Extent?[] others) =>
        arena.Obstacles.Select(obstacle => obstacle.Extent).Concat(root.Select(block => block.Forced)).Concat(others.Select(other => other ?? default));
}
