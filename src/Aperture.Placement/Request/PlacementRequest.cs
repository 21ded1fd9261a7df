using Aperture.Placement.Platforms;

namespace Aperture.Placement.Request;

/// <summary>
/// Everything the solver looks at: what the platform allows and what the PCI functions ask for. The same request always gives the same answer.
/// </summary>
/// <param name="Platform">Address width, RAM, windows and reserved ranges.</param>
/// <param name="HostBridges">The host bridges with the functions below them.</param>
public sealed record PlacementRequest(PlatformLimits Platform, IReadOnlyList<HostBridgeDemand> HostBridges);
