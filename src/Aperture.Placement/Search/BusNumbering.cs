using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>
/// Numbers buses depth first, as firmware does: a bridge's secondary bus is the next free number, its subordinate the highest below it. Pinned
/// numbers that this order cannot keep get a second try that places the pinned bridges first.
/// </summary>
internal static class BusNumbering
{
    public static void Assign(Topology topology, List<PlacementConflict> conflicts)
    {
        for (int host = 0; host < topology.Hosts.Count; host++)
        {
            Assign(topology.Hosts[host], topology.Roots[host], conflicts);
        }
    }

    private static void Assign(HostBridgeDemand host, IReadOnlyList<FunctionNode> root, List<PlacementConflict> conflicts)
    {
        int highest = host.FirstBus;
        List<PlacementConflict> found = [];
        if (!Number(root, host.FirstBus, ref highest, host.LastBus, host.Name, found) && !PinnedBuses.Assign(root, host.FirstBus, host.LastBus))
        {
            conflicts.AddRange(found);
        }
    }

    /// <summary>How many bus numbers after its own the VFs on one bus reach into.</summary>
    public static int ExtraBuses(IReadOnlyList<FunctionNode> nodes)
    {
        int extra = 0;
        foreach (FunctionNode node in nodes)
        {
            extra = Math.Max(extra, node.Demand.Sriov?.ExtraBuses(node.Demand.DeviceFunction) ?? 0);
        }

        return extra;
    }

    /// <summary>
    /// Numbers what is on one bus. <paramref name="limit"/> is the last bus allowed, by <paramref name="limitOwner"/>. False after a conflict.
    /// </summary>
    private static bool Number(
        IReadOnlyList<FunctionNode> nodes, byte bus, ref int highest, int limit, string limitOwner, List<PlacementConflict> conflicts)
    {
        if (!VirtualFunctions(nodes, bus, ref highest, limit, limitOwner, conflicts))
        {
            return false;
        }

        foreach (FunctionNode node in nodes)
        {
            node.Bus = bus;
            if (node.Demand.Bridge is not { } bridge)
            {
                continue;
            }

            int next = highest + 1;
            int secondary = bridge.SecondaryBus ?? next;
            int last = Math.Min(limit, bridge.SubordinateBus ?? limit);
            int reserved = secondary + (bridge.Reserve?.Buses ?? 0);
            if (secondary < next || secondary > last || bridge.SubordinateBus > limit || reserved > last)
            {
                conflicts.Add(OutOfBuses(node, bridge, next, limit, limitOwner));
                return false;
            }

            node.Secondary = (byte)secondary;
            highest = secondary;
            string owner = bridge.SubordinateBus is null ? limitOwner : node.Name;
            if (!Number(node.Children, node.Secondary, ref highest, last, owner, conflicts))
            {
                return false;
            }

            highest = Math.Max(Math.Max(highest, reserved), bridge.SubordinateBus ?? 0);
            node.Subordinate = (byte)highest;
        }

        return true;
    }

    private static bool VirtualFunctions(
        IReadOnlyList<FunctionNode> nodes, byte bus, ref int highest, int limit, string limitOwner, List<PlacementConflict> conflicts)
    {
        int extra = ExtraBuses(nodes);
        if (bus + extra > limit)
        {
            FunctionNode node = nodes.MaxBy(node => node.Demand.Sriov?.ExtraBuses(node.Demand.DeviceFunction) ?? 0)!;
            conflicts.Add(new PlacementConflict(
                PlacementConflictKind.BusNumbers,
                new ConflictParty(node.Name) { Function = node.Name },
                $"{node.Name} needs bus numbers up to {bus + extra} for its {node.Demand.Sriov!.TotalVfs} VFs, and {limitOwner} has buses {bus} to {limit}")
            {
                Obstacle = new ConflictParty(limitOwner),
            });
            return false;
        }

        highest = Math.Max(highest, bus + extra);
        return true;
    }

    private static PlacementConflict OutOfBuses(FunctionNode node, BridgeDemand bridge, int next, int limit, string limitOwner)
    {
        string left = next > limit ? $"{limitOwner} has no bus left" : next == limit
            ? $"{limitOwner} has only bus {next} left" : $"{limitOwner} has buses {next} to {limit} left";
        string sentence = bridge switch
        {
            { SecondaryBus: { } wanted } when wanted < next || wanted > limit => $"{node.Name} cannot have secondary bus {wanted}: {left}",
            { SubordinateBus: { } wanted } when wanted > limit => $"{node.Name} cannot have subordinate bus {wanted}: {left}",
            { Reserve.Buses: > 0 } => $"{node.Name} keeps {bridge.Reserve.Buses} bus numbers for hotplug behind bus {bridge.SecondaryBus ?? next}, and {left}",
            { SubordinateBus: { } wanted } =>
                $"{node.Name} cannot have subordinate bus {wanted}: its secondary bus is {bridge.SecondaryBus ?? next}, and {left}",
            _ => $"{node.Name} needs a bus number for what is behind it, and {left}",
        };
        return new PlacementConflict(PlacementConflictKind.BusNumbers, new ConflictParty(node.Name) { Function = node.Name }, sentence)
        {
            Obstacle = new ConflictParty(limitOwner),
        };
    }
}
