namespace Aperture.Placement;

/// <summary>One BAR's address and the reason for it.</summary>
/// <param name="Demand">What was asked.</param>
/// <param name="Range">Where it is: memory addresses, or ports for an I/O BAR.</param>
/// <param name="Why">Why there.</param>
public sealed record BarPlacement(BarDemand Demand, AddressRange Range, PlacementReason Why)
{
    /// <summary>The first address, as the BAR register holds it.</summary>
    public GuestAddress Address => Range.Start;
}

/// <summary>Why something is where it is.</summary>
/// <param name="Kind">The rule that decided.</param>
/// <param name="Text">The same as a phrase for people, naming the other party where there is one.</param>
public sealed record PlacementReason(PlacementReasonKind Kind, string Text);

/// <summary>The rule that decided an address.</summary>
public enum PlacementReasonKind
{
    /// <summary>The user asked for this address.</summary>
    Pinned,

    /// <summary>The lowest aligned place of its host bridge window.</summary>
    FirstFit,

    /// <summary>A lower aligned place exists, and something else is there.</summary>
    Pushed,

    /// <summary>It lies behind a bridge, where the bridge's window put it.</summary>
    BridgeWindow,
}
