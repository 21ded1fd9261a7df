using Aperture.Placement.Request;

namespace Aperture.Placement.Map;

/// <summary>One BAR's address and the reason for it.</summary>
/// <param name="Demand">What was asked.</param>
/// <param name="Range">Where it is: memory addresses, or ports for an I/O BAR. All VFs' shares for a VF BAR.</param>
/// <param name="Why">Why there.</param>
public sealed record BarPlacement(BarDemand Demand, AddressRange Range, PlacementReason Why)
{
    /// <summary>The first address, as the BAR register holds it.</summary>
    public GuestAddress Address => Range.Start;

    /// <summary>The size that the BAR register decodes: of a resizable BAR the one that was taken, of a VF BAR one VF's share.</summary>
    public required ulong Size { get; init; }
}

/// <summary>Why something is where it is.</summary>
/// <param name="Kind">The rule that decided.</param>
public sealed record PlacementReason(PlacementReasonKind Kind)
{
    /// <summary>What the address is a multiple of, in bytes.</summary>
    public ulong Alignment { get; init; }

    /// <summary>The window that it lies in, by name: <c>the 32-bit memory window</c>, <c>the memory window of rp0</c>.</summary>
    public string Window { get; init; } = "";

    /// <summary>The bridge window's addresses, for <see cref="PlacementReasonKind.BridgeWindow"/>.</summary>
    public AddressRange? WindowRange { get; init; }

    /// <summary>Who holds the place below, for <see cref="PlacementReasonKind.Pushed"/>.</summary>
    public string? PushedBy { get; init; }

    /// <summary>For <see cref="PlacementReasonKind.Pinned"/>: the pin is where the host's device has its BAR.</summary>
    public bool AsOnHost { get; init; }

    /// <summary>The same as a phrase for people, naming the other party where there is one.</summary>
    public string Text => Kind switch
    {
        PlacementReasonKind.Pinned => AsOnHost ? "pinned where the host has it" : "the user pinned it here",
        PlacementReasonKind.BridgeWindow => $"it lies in {Window}, {WindowRange}",
        PlacementReasonKind.Pushed => $"the lowest free multiple of {ByteSize.Format(Alignment)} in {Window}: the place below is taken by {PushedBy}",
        _ => $"the lowest multiple of {ByteSize.Format(Alignment)} in {Window}",
    };
}

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
