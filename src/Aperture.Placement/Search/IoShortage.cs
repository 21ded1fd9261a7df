using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Placement.Search;

/// <summary>
/// What to do when I/O ports are short: each port of a bridge with an I/O BAR behind it takes 4 KiB of 60, and hardly any device needs it. The I/O windows of
/// ports are closed from the last one back, no more of them than it takes, where every function that loses its I/O BARs has a memory BAR as well.
/// </summary>
internal static class IoShortage
{
    /// <summary>The map with the fewest windows closed, or null when closing all of them does not help.</summary>
    public static PlacementResult? Solve(Topology topology, Func<PlacementResult> place)
    {
        List<BarSpec[]> ports =
        [
            .. topology.All.Where(node => node.Demand.Bridge is { IoWindow: null, Reserve: null or { Io: 0 } }).Reverse()
                .Select(node => node.Children.SelectMany(child => child.Bars).Where(MayLeaveOut).ToArray()).Where(bars => bars.Length > 0),
        ];
        PlacementResult? best = null;
        int works = ports.Count;
        for (int low = 1, high = ports.Count; low <= high;)
        {
            int middle = (low + high) / 2;
            Close(ports, middle);
            PlacementResult result = place();
            (best, works, low, high) = result.Map is not null ? (result, middle, low, middle - 1) : (best, works, middle + 1, high);
        }

        Close(ports, best is null ? 0 : works);
        return best;
    }

    private static bool MayLeaveOut(BarSpec bar) =>
        bar is { Kind: BarKind.Io, Pin: null } && bar.Node.Demand.Bridge is null
        && bar.Node.Bars.Any(other => other.Kind.IsMemory() && other.Kind != BarKind.Rom);

    private static void Close(List<BarSpec[]> ports, int count)
    {
        for (int index = 0; index < ports.Count; index++)
        {
            foreach (BarSpec bar in ports[index])
            {
                bar.LeftOut = index < count;
            }
        }
    }
}
