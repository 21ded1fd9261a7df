namespace Aperture.Placement;

/// <summary>
/// What the search for places may cost. A search counts the places it tries for things that are not naturally aligned powers of two; one
/// search tries at most <see cref="OneSearch"/>, and all searches of a request together at most <see cref="WholeRequest"/>.
/// </summary>
internal sealed class SearchBudget(int whole)
{
    public const int OneSearch = 20_000;
    public const int WholeRequest = 200_000;

    /// <summary>The budget for trying out a change that might resolve a conflict.</summary>
    public const int OneTrial = 2_000;

    // Going back over more blocks than this finds nothing within the budget that going straight on does not.
    public const int MostBlocks = 1_000;

    private int _left = whole;

    /// <summary>How many places the next search may try.</summary>
    public int Next => Math.Min(OneSearch, _left);

    public void Spend(int places) => _left -= Math.Min(_left, places);
}
