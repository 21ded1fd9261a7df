namespace Aperture.Placement.Reasons;

/// <summary>The smallest change of the request that was found to resolve a conflict. <see cref="RemedyApplication.Apply"/> makes it.</summary>
/// <param name="Kind">What to change.</param>
/// <param name="Text">The change as a phrase that completes "it would fit with": <c>a 64-bit memory window of 0x1000000000-0x1fffffffff</c>.</param>
public sealed record Remedy(RemedyKind Kind, string Text)
{
    /// <summary>The function whose demand changes, where one does.</summary>
    public string? Function { get; init; }

    /// <summary>The BAR whose demand changes, where one does.</summary>
    public int? Bar { get; init; }

    /// <summary>The new range, for a window.</summary>
    public AddressRange? Range { get; init; }

    /// <summary>The new value: an address, a size in bytes, a count, or bits; by <see cref="Kind"/>.</summary>
    public ulong? Value { get; init; }
}

/// <summary>What a remedy changes.</summary>
public enum RemedyKind
{
    /// <summary>Another address for the pinned BAR: <see cref="Remedy.Value"/>.</summary>
    MovePin,

    /// <summary>No pin on the BAR; the solver has a place.</summary>
    DropPin,

    /// <summary>Another 32-bit memory window: <see cref="Remedy.Range"/>.</summary>
    Window32,

    /// <summary>Another 64-bit memory window: <see cref="Remedy.Range"/>.</summary>
    Window64,

    /// <summary>The low hole may start at <see cref="Remedy.Value"/>.</summary>
    LowHole,

    /// <summary>Fewer VFs for the function: <see cref="Remedy.Value"/>.</summary>
    FewerVfs,

    /// <summary>A smaller size for the resizable BAR: <see cref="Remedy.Value"/> bytes.</summary>
    SmallerBar,

    /// <summary>A wider physical address: <see cref="Remedy.Value"/> bits.</summary>
    WiderAddress,

    /// <summary>Less RAM: <see cref="Remedy.Value"/> bytes.</summary>
    LessRam,

    /// <summary>No hotplug reserves.</summary>
    NoReserves,

    /// <summary>No pins on bus numbers or bridge windows.</summary>
    FreeBridges,
}
