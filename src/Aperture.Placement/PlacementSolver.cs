namespace Aperture.Placement;

/// <summary>Finds an address for every BAR, bridge window and bus. Pure: no I/O, no clock, no randomness.</summary>
public static class PlacementSolver
{
    /// <summary>Solves a request. Never throws for what a request can say; contradictions come back as conflicts.</summary>
    public static PlacementResult Solve(PlacementRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        List<PlacementConflict> conflicts = [];
        LimitsCheck.Run(request.Platform, conflicts);
        if (request.HostBridges.Count != 1)
        {
            conflicts.Add(new PlacementConflict(
                PlacementConflictKind.Unsupported,
                new ConflictParty("the host bridges"),
                $"layout version {PlacementMap.CurrentLayoutVersion} places exactly one host bridge, and there are {request.HostBridges.Count}"));
        }

        if (conflicts.Count > 0)
        {
            return PlacementResult.Of(conflicts);
        }

        Topology topology = Topology.Build(request.HostBridges[0], conflicts);
        DemandCheck.Run(topology, request.Platform.PhysicalAddressBits, conflicts);
        if (conflicts.Count == 0)
        {
            BusNumbering.Assign(topology, conflicts);
        }

        return conflicts.Count > 0 ? PlacementResult.Of(conflicts) : Place(topology, request.Platform);
    }

    private static PlacementResult Place(Topology topology, PlatformLimits platform)
    {
        Outcome? refused = null;
        foreach (ulong start in Arenas.AutomaticStarts(platform))
        {
            Outcome outcome = Attempt.Run(topology, platform, start);
            if (outcome is { Tree: { } tree, Arenas: { } arenas })
            {
                return PlacementResult.Of(MapBuilder.Build(topology, tree, arenas));
            }

            // A refusal that only came up because RAM had to move is not the user's problem; the lack of room before it is.
            if (!outcome.LowerMayHelp)
            {
                refused ??= outcome;
                break;
            }

            refused = outcome;
        }

        return PlacementResult.Of(refused!.Conflicts);
    }
}
