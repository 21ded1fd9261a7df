namespace Aperture.Placement;

/// <summary>Finds an address for every BAR, bridge window and bus. Pure: no I/O, no clock, no randomness.</summary>
public static class PlacementSolver
{
    /// <summary>Solves a request. Never throws for what a request can say; contradictions come back as conflicts.</summary>
    public static PlacementResult Solve(PlacementRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        return PlacementResult.Of([new PlacementConflict(PlacementConflictKind.Unsupported, new ConflictParty("placement"), "placement is not there yet")]);
    }
}
