using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Emission;

/// <summary>What is written for another monitor: a solved request.</summary>
/// <param name="Request">What the solver was asked; RAM, address width and reserved ranges come from here.</param>
/// <param name="Map">Where everything goes.</param>
public sealed record EmissionPlan(PlacementRequest Request, PlacementMap Map)
{
    /// <summary>
    /// The host's devices that functions stand for, by the function's name: <c>0000:3b:00.0</c>. A function with an entry is assigned;
    /// one without is emulated where the monitor has something alike, else described in a comment.
    /// </summary>
    public IReadOnlyDictionary<string, string> HostAddresses { get; init; } = new Dictionary<string, string>();
}
