using Aperture.Placement.Reasons;

namespace Aperture.Placement.Map;

/// <summary>Why a demand cannot be met.</summary>
/// <param name="Kind">The rule that is broken.</param>
/// <param name="Demand">Who asked: a BAR, a bridge's bus number, or a platform setting.</param>
/// <param name="Sentence">The whole story in one sentence: both parties by name, and the nearest range that fits where there is one.</param>
public sealed record PlacementConflict(PlacementConflictKind Kind, ConflictParty Demand, string Sentence)
{
    /// <summary>What stands in the way, where that is one thing.</summary>
    public ConflictParty? Obstacle { get; init; }

    /// <summary>The nearest free range at or below the asked address that would do.</summary>
    public AddressRange? NearestBelow { get; init; }

    /// <summary>The nearest free range above the asked address that would do.</summary>
    public AddressRange? NearestAbove { get; init; }

    /// <summary>The smallest change of the request that was found to resolve this conflict; null when none was.</summary>
    public Remedy? Remedy { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Sentence;
}

/// <summary>One side of a conflict.</summary>
/// <param name="Name">How messages call it: <c>gpu0 bar2</c>, <c>guest RAM</c>, <c>the HPET</c>.</param>
/// <param name="Range">Its addresses, where it has any.</param>
public sealed record ConflictParty(string Name, AddressRange? Range = null)
{
    /// <summary>The function's name, when the party is a function or one of its BARs.</summary>
    public string? Function { get; init; }

    /// <summary>The BAR's index, when the party is a BAR.</summary>
    public int? Bar { get; init; }
}

/// <summary>The rule that a conflict breaks.</summary>
public enum PlacementConflictKind
{
    /// <summary>The demand is not a legal BAR or topology: index, duplicate, size too small or too large for its kind.</summary>
    BadDemand,

    /// <summary>A BAR's size is not a power of two.</summary>
    NotPowerOfTwo,

    /// <summary>A platform limit contradicts another: a window where RAM must be, an address width out of range.</summary>
    BadLimit,

    /// <summary>A pin is not a multiple of the BAR's size.</summary>
    Misaligned,

    /// <summary>A pin lies on something that is taken.</summary>
    Overlap,

    /// <summary>A pin lies outside the window that the user or the board set.</summary>
    OutOfWindow,

    /// <summary>A pin passes the guest's physical address width, or a BAR is larger than it has room for.</summary>
    AboveAddressBits,

    /// <summary>A 32-bit BAR is pinned at or above 4 GiB.</summary>
    OutOfRange32,

    /// <summary>A bridge window that must hold the demand cannot exist.</summary>
    BridgeWindow,

    /// <summary>There is provably no room.</summary>
    NoSpace,

    /// <summary>No layout was found within the search budget; one may exist.</summary>
    NotFound,

    /// <summary>Bus numbers run out, or a pinned one does not fit.</summary>
    BusNumbers,

    /// <summary>The request uses something that this layout version does not place.</summary>
    Unsupported,
}
