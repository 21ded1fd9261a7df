using System.Diagnostics.CodeAnalysis;
using Aperture.Placement.Search;

namespace Aperture.Placement.Map;

/// <summary>
/// Where everything goes. A map is a compatibility surface: the same request gives the same map for as long as <see cref="LayoutVersion"/> is the same.
/// </summary>
public sealed record PlacementMap
{
    /// <summary>The layout version this solver makes.</summary>
    public const int CurrentLayoutVersion = 1;

    private Dictionary<string, FunctionPlacement>? _byName;

    /// <summary>The version of the algorithm that made the map.</summary>
    public int LayoutVersion { get; init; } = CurrentLayoutVersion;

    /// <summary>How RAM is split around the low hole.</summary>
    public required RamPlacement Ram { get; init; }

    /// <summary>The ECAM range of the first host bridge's segment, or null on a board without one. Not part of any window.</summary>
    public required AddressRange? Ecam { get; init; }

    /// <summary>The ECAM ranges of all segments, that of the first host bridge's first; empty on a board without one.</summary>
    public required IReadOnlyList<EcamPlacement> Ecams { get; init; }

    /// <summary>How tightly the map is packed.</summary>
    public required LayoutMetrics Metrics { get; init; }

    /// <summary>The host bridges, in the request's order.</summary>
    public required IReadOnlyList<HostBridgePlacement> HostBridges { get; init; }

    /// <summary>
    /// I/O BARs that have no address, because there are too few ports and their PCI Express devices work without; in bus order, empty for most maps.
    /// </summary>
    public IReadOnlyList<LeftOutBar> LeftOut { get; init; } = [];

    /// <summary>Every function, each bridge before what lies behind it, in bus order and on a bus by device and function.</summary>
    public IEnumerable<FunctionPlacement> Functions => HostBridges.SelectMany(bridge => FunctionPlacement.Walk(bridge.Functions));

    /// <summary>Finds a function by its name.</summary>
    public bool TryGetFunction(string name, [NotNullWhen(true)] out FunctionPlacement? function) =>
        (_byName ??= Functions.ToDictionary(candidate => candidate.Name, StringComparer.Ordinal)).TryGetValue(name, out function);
}
