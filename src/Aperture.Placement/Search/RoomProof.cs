using Aperture.Pci;

namespace Aperture.Placement.Search;

/// <summary>Tells "impossible" from "not found": simple bounds that no layout can escape.</summary>
internal static class RoomProof
{
    /// <summary>
    /// True when no layout exists for this position of the low hole. Greedy placement is complete where everything is a BAR on the root bus;
    /// with bridges, only a BAR that fits nowhere and a sum that is too large are proofs.
    /// </summary>
    public static bool NoneExists(BlockTree tree, Arenas arenas, ArenaKind failed, bool ecamFloats)
    {
        ArenaKind[] kinds = failed == ArenaKind.Io ? [ArenaKind.Io] : [ArenaKind.Low, ArenaKind.High];
        if (!ecamFloats && kinds.All(kind => tree.Root(kind).All(block => block is BarBlock { IsNatural: true })))
        {
            return true;
        }

        List<BarBlock> bars = [.. tree.Bars.Where(bar => bar.Spec.Kind == BarKind.Io == (failed == ArenaKind.Io))];
        List<Extent> pinned = [.. bars.Where(bar => !bar.Floats).Select(bar => bar.Forced).OrderBy(extent => extent.Start)];
        Dictionary<ArenaKind, FreeSpace> free = kinds.ToDictionary(kind => kind, kind => WithSetWindows(arenas[kind], pinned));
        List<BarBlock> floating = [.. bars.Where(bar => bar.Floats)];
        return floating.Exists(bar => !Allowed(bar, failed).Any(kind => free[kind].TryFirst(1, bar.Shapes[0], out _)))
            || Sum(floating) > Sum(free.Values)
            || Sum(floating.Where(bar => Allowed(bar, failed).Length == 1)) > Sum([free[kinds[0]]]);
    }

    /// <summary>What any host bridge may use.</summary>
    private static FreeSpace WithSetWindows(Arena arena, List<Extent> pinned) =>
        new(new FreeSpace(arena.Bounds.Concat(arena.SetWindows), arena.Obstacles.Select(obstacle => obstacle.Extent)).Spans, pinned);

    private static ArenaKind[] Allowed(BarBlock bar, ArenaKind failed) =>
        failed == ArenaKind.Io ? [ArenaKind.Io]
        : bar.Spec.Kind == BarKind.Memory64Prefetchable || (bar.Spec.Kind == BarKind.Memory64 && bar.Parent is null) ? [ArenaKind.Low, ArenaKind.High]
        : [ArenaKind.Low];

    private static UInt128 Sum(IEnumerable<BarBlock> bars) => bars.Aggregate((UInt128)0, (sum, bar) => sum + bar.Spec.Size);

    private static UInt128 Sum(IEnumerable<FreeSpace> spaces) => spaces.Aggregate((UInt128)0, (sum, space) => sum + space.Total);
}
