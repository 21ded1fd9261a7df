using Aperture.Pci;
using Aperture.Placement.Checks;
using Aperture.Placement.Map;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;
using Aperture.Placement.Search;

namespace Aperture.Placement;

/// <summary>Finds an address for every BAR, bridge window and bus. Pure: no I/O, no clock, no randomness.</summary>
public static class PlacementSolver
{
    /// <summary>Solves a request. Never throws for what a request can say; contradictions come back as conflicts.</summary>
    public static PlacementResult Solve(PlacementRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        PlacementResult result = SolveOnce(request, SearchBudget.WholeRequest);
        return result.Map is not null
            ? result : PlacementResult.Of(RemedyFinder.Attach(request, result.Conflicts, changed => SolveOnce(changed, SearchBudget.OneTrial)));
    }

    private static PlacementResult SolveOnce(PlacementRequest request, int budget)
    {
        List<PlacementConflict> conflicts = [];
        LimitsCheck.Run(request.Platform, conflicts);
        if (conflicts.Count == 0)
        {
            HostBridgeCheck.Run(request, conflicts);
        }

        if (conflicts.Count > 0)
        {
            return PlacementResult.Of(conflicts);
        }

        Topology topology = Topology.Build(request.HostBridges, conflicts);
        DemandCheck.Run(topology, request.Platform.PhysicalAddressBits, conflicts);
        WindowPins.Check(topology, request.Platform, conflicts);
        if (conflicts.Count == 0)
        {
            BusNumbering.Assign(topology, conflicts);
        }

        return conflicts.Count > 0
            ? PlacementResult.Of(conflicts) : Resizing.Solve(new Ground(request.Platform, request.HostBridges), topology, new SearchBudget(budget));
    }

    /// <summary>As <see cref="PlaceAll"/>; when ports are short, without I/O BARs that PCI Express devices work without.</summary>
    internal static PlacementResult Place(Ground ground, Topology topology, SearchBudget budget, bool lastResort)
    {
        PlacementResult result = PlaceAll(ground, topology, budget, lastResort, out bool portsAreShort);
        return portsAreShort ? IoShortage.Solve(topology, () => PlaceAll(ground, topology, budget, lastResort, out _)) ?? result : result;
    }

    /// <summary>
    /// Places a topology whose BARs have their sizes; with <paramref name="lastResort"/> also where automatic placement does not go by itself.
    /// </summary>
    private static PlacementResult PlaceAll(Ground ground, Topology topology, SearchBudget budget, bool lastResort, out bool portsAreShort)
    {
        portsAreShort = false;
        Outcome? refused = null;
        foreach (ulong start in Arenas.AutomaticStarts(ground, AlwaysLow(topology)))
        {
            Outcome outcome = Attempt.Run(ground, topology, start, budget);
            if (outcome is { Tree: { } tree, Arenas: { } arenas })
            {
                return PlacementResult.Of(MapBuilder.Build(ground, topology, tree, arenas));
            }

            // A refusal that only came up because RAM had to move is not the user's problem; the lack of room before it is.
            if (!outcome.LowerMayHelp || !budget.TryRound(topology))
            {
                refused ??= outcome;
                break;
            }

            refused = outcome;
        }

        portsAreShort = refused is { Failure: not null, FailedIn: ArenaKind.Io };
        return NoRoom(ground, topology, budget, refused!, lastResort);
    }

    /// <summary>The map of the last resort, or the refusal, called proven where it is.</summary>
    private static PlacementResult NoRoom(Ground ground, Topology topology, SearchBudget budget, Outcome refused, bool lastResort)
    {
        bool proven = refused.Failure is not null && RoomProof.NoneExists(ground, topology, refused.FailedIn);
        if (!proven && lastResort && refused.IsAboutRoom && refused is not { Failure: not null, FailedIn: ArenaKind.Io })
        {
            (Outcome? found, proven) = Squeeze.Run(ground, topology, budget);
            if (found is { Tree: { } tree, Arenas: { } arenas })
            {
                return PlacementResult.Of(MapBuilder.Build(ground, topology, tree, arenas));
            }
        }

        return PlacementResult.Of(refused.Failure is { } failure ? [RoomSentence.Of(failure, refused.Arenas![refused.FailedIn], proven)] : refused.Conflicts);
    }

    /// <summary>Bytes that lie in the automatic 32-bit space whatever is chosen; 0 where pins or set windows may hold them elsewhere.</summary>
    private static UInt128 AlwaysLow(Topology topology)
    {
        UInt128 sum = 0;
        foreach (FunctionNode node in topology.All)
        {
            if (node.Demand.Bridge is { MemoryWindow: not null } or { PrefetchableWindow: not null })
            {
                return 0;
            }

            foreach (BarSpec bar in node.Bars)
            {
                if (bar.Pin is not null && bar.Kind != BarKind.Io)
                {
                    return 0;
                }

                sum += bar.Kind is BarKind.Memory32 or BarKind.Memory32Prefetchable or BarKind.Rom ? bar.Size : 0;
            }
        }

        return topology.Hosts.All(host => host.Mmio32Windows is null) ? sum : 0;
    }
}
