namespace Aperture.Placement.Map;

/// <summary>
/// What a host bridge forwards: the content of its <c>_CRS</c>. All lists are sorted, disjoint, and hold every BAR and bridge window below; none holds RAM,
/// ECAM or a reserved range.
/// </summary>
public sealed record HostBridgePlacement
{
    /// <summary>The bridge's name in the request.</summary>
    public required string Name { get; init; }

    /// <summary>The PCI segment.</summary>
    public required uint Segment { get; init; }

    /// <summary>The root bus.</summary>
    public required byte FirstBus { get; init; }

    /// <summary>The last bus number the bridge may use, whether used or not.</summary>
    public required byte LastBus { get; init; }

    /// <summary>I/O port windows.</summary>
    public required IReadOnlyList<AddressRange> IoWindows { get; init; }

    /// <summary>Memory windows below 4 GiB.</summary>
    public required IReadOnlyList<AddressRange> Mmio32Windows { get; init; }

    /// <summary>Memory windows from 4 GiB up; empty when the address width leaves none.</summary>
    public required IReadOnlyList<AddressRange> Mmio64Windows { get; init; }

    /// <summary>The functions on the root bus, by device and function.</summary>
    public required IReadOnlyList<FunctionPlacement> Functions { get; init; }
}
