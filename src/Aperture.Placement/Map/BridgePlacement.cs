namespace Aperture.Placement.Map;

/// <summary>A bridge's registers. A null window is closed (base above limit).</summary>
public sealed record BridgePlacement
{
    /// <summary>The bus the bridge sits on.</summary>
    public required byte Primary { get; init; }

    /// <summary>The bus right behind it.</summary>
    public required byte Secondary { get; init; }

    /// <summary>The highest bus behind it.</summary>
    public required byte Subordinate { get; init; }

    /// <summary>The I/O window, in units of 4 KiB.</summary>
    public required AddressRange? Io { get; init; }

    /// <summary>The memory window, in units of 1 MiB, below 4 GiB.</summary>
    public required AddressRange? Memory { get; init; }

    /// <summary>The prefetchable window, in units of 1 MiB; wholly below or wholly above 4 GiB.</summary>
    public required AddressRange? Prefetchable { get; init; }

    /// <summary>The functions on the secondary bus, by device and function.</summary>
    public required IReadOnlyList<FunctionPlacement> Functions { get; init; }
}
