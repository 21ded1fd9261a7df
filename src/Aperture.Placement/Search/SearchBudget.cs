namespace Aperture.Placement.Search;

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

    /// <summary>
    /// How many functions all rounds together may look at, a round being one tree of blocks under one set of choices. Requests without bridges
    /// have no limit, since their rounds are few.
    /// </summary>
    public const int Rounds = 1_000_000;

    // Even the largest request gets to lower the hole some times.
    private const int FewestRounds = 12;

    private int _left = whole;
    private long _work = Rounds;
    private long _squeeze = (long)whole * 2;
    private int _rounds;

    /// <summary>True when a search ended because its rounds were used up: nothing is proven then.</summary>
    public bool RoundsUsedUp { get; private set; }

    /// <summary>True when the last resort ended because its own share was used up.</summary>
    public bool SqueezeUsedUp { get; private set; }

    /// <summary>Asks for one more round over a topology; false when they are used up.</summary>
    public bool TryRound(Topology topology)
    {
        _work -= topology.HasBridges ? topology.All.Count : 0;
        RoundsUsedUp |= _rounds++ >= FewestRounds && _work < 0;
        return !RoundsUsedUp;
    }

    /// <summary>Asks for one more round of the last resort, which looks at <paramref name="functions"/>; false when its share is used up.</summary>
    public bool TrySqueeze(int functions)
    {
        SqueezeUsedUp |= _squeeze <= 0;
        _squeeze -= functions;
        return !SqueezeUsedUp;
    }

    /// <summary>How many places the next search may try.</summary>
    public int Next => Math.Min(OneSearch, _left);

    public void Spend(int places) => _left -= Math.Min(_left, places);
}
