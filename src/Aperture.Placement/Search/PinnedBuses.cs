using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>
/// Numbers buses when pinned numbers do not ascend in device order, as on real machines: on each bus the bridges that pins hold take their
/// runs of numbers first, and the others take the lowest runs between them that are long enough.
/// </summary>
internal static class PinnedBuses
{
    private const int None = -1;

    /// <summary>Numbers what hangs from a root bus; false, with numbers in an undefined state, when it finds no way.</summary>
    public static bool Assign(IReadOnlyList<FunctionNode> root, int firstBus, int lastBus) => Number(root, firstBus, lastBus);

    /// <summary>Numbers one bus, whose bridges may use the numbers after it up to <paramref name="last"/>.</summary>
    private static bool Number(IReadOnlyList<FunctionNode> nodes, int bus, int last)
    {
        int first = bus + BusNumbering.ExtraBuses(nodes) + 1;
        List<FunctionNode> held = [];
        List<FunctionNode> free = [];
        foreach (FunctionNode node in nodes)
        {
            node.Bus = (byte)bus;
            if (node.Demand.Bridge is not null)
            {
                (LowestPin(node) == None ? free : held).Add(node);
            }
        }

        if (first - 1 > last)
        {
            return false;
        }

        held.Sort((left, right) => Start(left).CompareTo(Start(right)));
        List<(int First, int Last)> gaps = [];
        for (int index = 0; index < held.Count; index++)
        {
            int start = Start(held[index]);
            int limit = index + 1 < held.Count ? Start(held[index + 1]) - 1 : last;
            if (start < first || !Settle(held[index], start, limit))
            {
                return false;
            }

            gaps.Add((first, start - 1));
            first = held[index].Subordinate + 1;
        }

        gaps.Add((first, last));
        return free.TrueForAll(node => SettleInGap(node, gaps));
    }

    private static bool SettleInGap(FunctionNode node, List<(int First, int Last)> gaps)
    {
        int need = Need(node);
        int index = gaps.FindIndex(gap => gap.Last - gap.First + 1 >= need);
        if (index < 0 || !Settle(node, gaps[index].First, gaps[index].First + need - 1))
        {
            return false;
        }

        gaps[index] = (gaps[index].First + need, gaps[index].Last);
        return true;
    }

    private static bool Settle(FunctionNode node, int secondary, int limit)
    {
        BridgeDemand bridge = node.Demand.Bridge!;
        int last = Math.Min(limit, bridge.SubordinateBus ?? limit);
        int reserved = secondary + (bridge.Reserve?.Buses ?? 0);
        if (secondary > last || reserved > last || bridge.SubordinateBus > limit || !Number(node.Children, secondary, last))
        {
            return false;
        }

        int highest = Math.Max(reserved, secondary + BusNumbering.ExtraBuses(node.Children));
        foreach (FunctionNode child in node.Children)
        {
            highest = child.Demand.Bridge is null ? highest : Math.Max(highest, child.Subordinate);
        }

        node.Secondary = (byte)secondary;
        node.Subordinate = (byte)(bridge.SubordinateBus ?? highest);
        return true;
    }

    /// <summary>The secondary bus that a bridge with pins in it gets: its own, or one low enough for the lowest one inside.</summary>
    private static int Start(FunctionNode node) => node.Demand.Bridge!.SecondaryBus ?? LowestPin(node);

    private static int LowestPin(FunctionNode node)
    {
        if (node.Demand.Bridge is not { } bridge)
        {
            return None;
        }

        if (bridge.SecondaryBus is { } pin)
        {
            return pin;
        }

        int lowest = None;
        foreach (FunctionNode child in node.Children)
        {
            int inside = LowestPin(child);
            lowest = inside != None && (lowest == None || inside < lowest) ? inside : lowest;
        }

        return lowest > 0 ? lowest - 1 : lowest;
    }

    /// <summary>How many numbers a bridge without pins inside takes.</summary>
    private static int Need(FunctionNode node)
    {
        int inside = BusNumbering.ExtraBuses(node.Children);
        foreach (FunctionNode child in node.Children)
        {
            inside += child.Demand.Bridge is null ? 0 : Need(child);
        }

        BridgeDemand bridge = node.Demand.Bridge!;
        return 1 + Math.Max(inside, Math.Max(0, bridge.Reserve?.Buses ?? 0));
    }
}
