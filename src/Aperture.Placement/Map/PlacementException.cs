namespace Aperture.Placement.Map;

/// <summary>The guest's address map cannot be made as asked; a configuration error, and nothing was started.</summary>
public sealed class PlacementException : ApertureException
{
    internal PlacementException(IReadOnlyList<PlacementConflict> conflicts)
        : base(string.Join(Environment.NewLine, conflicts.Select(conflict => conflict.Sentence))) => Conflicts = conflicts;

    /// <summary>What stands in the way, at least one.</summary>
    public IReadOnlyList<PlacementConflict> Conflicts { get; }
}
