using Aperture.Pci;

namespace Aperture.Placement;

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
        if (!ecamFloats && kinds.All(kind => tree.Root(kind).All(block => block is BarBlock)))
        {
            return true;
        }

        Dictionary<ArenaKind, FreeSpace> free = kinds.ToDictionary(kind => kind, kind => arenas[kind].Legal.Clone());
        List<BarBlock> bars = [.. tree.Bars.Where(bar => bar.Demand.Kind == BarKind.Io == (failed == ArenaKind.Io))];
        foreach (BarBlock bar in bars)
        {
            foreach (FreeSpace space in free.Values)
            {
                space.Remove(bar.Forced);
            }
        }

        List<BarBlock> floating = [.. bars.Where(bar => bar.Floats)];
        return floating.Exists(bar => !Allowed(bar, failed).Any(kind => free[kind].TryFirst(1, bar.Shapes[0], out _)))
            || Sum(floating) > Sum(free.Values)
            || Sum(floating.Where(bar => Allowed(bar, failed).Length == 1)) > Sum([free[kinds[0]]]);
    }

    private static ArenaKind[] Allowed(BarBlock bar, ArenaKind failed) =>
        failed == ArenaKind.Io ? [ArenaKind.Io]
        : bar.Demand.Kind == BarKind.Memory64Prefetchable || (bar.Demand.Kind == BarKind.Memory64 && bar.Parent is null) ? [ArenaKind.Low, ArenaKind.High]
        : [ArenaKind.Low];

    private static UInt128 Sum(IEnumerable<BarBlock> bars) => bars.Aggregate((UInt128)0, (sum, bar) => sum + bar.Demand.Size);

    private static UInt128 Sum(IEnumerable<FreeSpace> spaces) => spaces.Aggregate((UInt128)0, (sum, space) => sum + space.Total);
}
