using Aperture.Placement.Checks;
using Aperture.Placement.Map;
using Aperture.Placement.Search;

namespace Aperture.Placement;

/// <summary>
/// Chooses the sizes of resizable BARs that may be smaller than asked. All at the asked size is tried first. Else all are held to one limit,
/// the highest power of two that gives a layout, and then each in turn, in bus order, grows as far as it can within a budget of solutions.
/// </summary>
internal static class Resizing
{
    private const int MostSolutions = 48;

    public static PlacementResult Solve(Ground ground, Topology topology, SearchBudget budget)
    {
        List<BarSpec> flexible = [.. topology.Bars.Where(bar => bar.Demand is { LargestThatFits: true, ResizableSizes.Count: > 0 })];
        foreach (BarSpec bar in flexible)
        {
            // No address space holds more, and sums stay below 2^63.
            bar.Cap(DemandCheck.Largest(bar.Kind, ground.Platform.PhysicalAddressBits));
        }

        PlacementResult asked = PlacementSolver.Place(ground, topology, budget, lastResort: flexible.Count == 0);
        if (asked.Map is not null || flexible.Count == 0)
        {
            return asked;
        }

        int left = MostSolutions;
        PlacementResult? best = Uniform(ground, topology, flexible, budget, ref left);
        if (best is null)
        {
            // All are at their smallest now. The refusal of the sizes that were asked says more than that of these.
            PlacementResult smallest = PlacementSolver.Place(ground, topology, budget, lastResort: true);
            return smallest.Map is null ? asked : smallest;
        }

        foreach (BarSpec bar in flexible)
        {
            ulong kept = bar.Unit;
            foreach (ulong size in bar.Sizes.Where(size => size > kept).OrderDescending())
            {
                if (left-- <= 0)
                {
                    return best;
                }

                bar.Resize(size);
                if (PlacementSolver.Place(ground, topology, budget, lastResort: false) is { Map: not null } larger)
                {
                    best = larger;
                    kept = size;
                    break;
                }
            }

            bar.Resize(kept);
        }

        return best;
    }

    private static void Limit(List<BarSpec> bars, ulong limit)
    {
        foreach (BarSpec bar in bars)
        {
            bar.Resize(bar.Sizes.Where(size => size <= limit).DefaultIfEmpty(bar.Sizes[0]).Max());
        }
    }

    private static PlacementResult? Uniform(Ground ground, Topology topology, List<BarSpec> flexible, SearchBudget budget, ref int left)
    {
        ulong[] limits = [.. flexible.SelectMany(bar => bar.Sizes).Distinct().Order()];
        PlacementResult? best = null;
        int works = -1;
        int low = 0;
        int high = limits.Length - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            Limit(flexible, limits[middle]);
            left--;
            if (PlacementSolver.Place(ground, topology, budget, lastResort: false) is { Map: not null } result)
            {
                (best, works, low) = (result, middle, middle + 1);
            }
            else
            {
                high = middle - 1;
            }
        }

        Limit(flexible, works < 0 ? 0 : limits[works]);
        return best;
    }
}
