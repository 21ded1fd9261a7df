namespace Aperture.Placement;

/// <summary>Numbers buses depth first, as firmware does: a bridge's secondary bus is the next free number, its subordinate the highest below it.</summary>
internal static class BusNumbering
{
    public static void Assign(Topology topology, List<PlacementConflict> conflicts)
    {
        HostBridgeDemand host = topology.HostBridge;
        if (host.LastBus < host.FirstBus)
        {
            conflicts.Add(new PlacementConflict(
                PlacementConflictKind.BusNumbers,
                new ConflictParty(host.Name),
                $"{host.Name} has no bus: its last bus {host.LastBus} is below its first bus {host.FirstBus}"));
            return;
        }

        int highest = host.FirstBus;
        Number(topology.Root, host.FirstBus, ref highest, host.LastBus, host.Name, conflicts);
    }

    /// <summary>Numbers what is on one bus. <paramref name="limit"/> is the last bus allowed, by <paramref name="limitOwner"/>. False after a conflict.</summary>
    private static bool Number(
        IReadOnlyList<FunctionNode> nodes, byte bus, ref int highest, int limit, string limitOwner, List<PlacementConflict> conflicts)
    {
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
            if (secondary < next || secondary > last || bridge.SubordinateBus > limit)
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

            highest = Math.Max(highest, bridge.SubordinateBus ?? 0);
            node.Subordinate = (byte)highest;
        }

        return true;
    }

    private static PlacementConflict OutOfBuses(FunctionNode node, BridgeDemand bridge, int next, int limit, string limitOwner)
    {
        string left = next > limit ? $"{limitOwner} has no bus left" : next == limit ? $"{limitOwner} has only bus {next} left" : $"{limitOwner} has buses {next} to {limit} left";
        string sentence = bridge switch
        {
            { SecondaryBus: { } wanted } when wanted < next || wanted > limit => $"{node.Name} cannot have secondary bus {wanted}: {left}",
            { SubordinateBus: { } wanted } when wanted > limit => $"{node.Name} cannot have subordinate bus {wanted}: {left}",
            { SubordinateBus: { } wanted } => $"{node.Name} cannot have subordinate bus {wanted}: its secondary bus is {bridge.SecondaryBus ?? next}, and {left}",
            _ => $"{node.Name} needs a bus number for what is behind it, and {left}",
        };
        return new PlacementConflict(PlacementConflictKind.BusNumbers, new ConflictParty(node.Name) { Function = node.Name }, sentence)
        {
            Obstacle = new ConflictParty(limitOwner),
        };
    }
}
