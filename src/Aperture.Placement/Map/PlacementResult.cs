namespace Aperture.Placement.Map;

/// <summary>A map, or the reasons why there is none. Exactly one of the two is present.</summary>
public sealed record PlacementResult
{
    private PlacementResult(PlacementMap? map, IReadOnlyList<PlacementConflict> conflicts) => (Map, Conflicts) = (map, conflicts);

    /// <summary>The map, or null when there are conflicts.</summary>
    public PlacementMap? Map { get; }

    /// <summary>Why there is no map; empty when there is one. Each conflict carries its sentence.</summary>
    public IReadOnlyList<PlacementConflict> Conflicts { get; }

    /// <summary>The map.</summary>
    /// <exception cref="PlacementException">There is none; the message is the conflicts' sentences.</exception>
    public PlacementMap Require() => Map ?? throw new PlacementException(Conflicts);

    internal static PlacementResult Of(PlacementMap map) => new(map, []);

    internal static PlacementResult Of(IReadOnlyList<PlacementConflict> conflicts) => new(null, [.. conflicts.DistinctBy(conflict => conflict.Sentence)]);
}
