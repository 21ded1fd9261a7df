using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Placement.Tests;

/// <summary>Short spellings for topologies in tests.</summary>
internal static class Build
{
    public const ulong K = 1UL << 10;
    public const ulong M = 1UL << 20;
    public const ulong G = 1UL << 30;
    public const ulong T = 1UL << 40;

    public static PlatformLimits Platform { get; } = PlatformLimits.Q35(2 * G, 47);

    public static BarDemand Bar(int index, BarKind kind, ulong size, ulong? pin = null) =>
        new(index, kind, size, pin is { } address ? new GuestAddress(address) : null);

    public static FunctionDemand Device(string name, int device, params BarDemand[] bars) => new(name, (byte)(device << 3), bars);

    public static FunctionDemand Bridge(string name, int device, params FunctionDemand[] behind) =>
        new(name, (byte)(device << 3), []) { Bridge = new BridgeDemand(behind) };

    public static AddressRange Range(ulong start, ulong size) => new(new GuestAddress(start), size);

    public static PlacementRequest RequestFor(params FunctionDemand[] functions) => RequestFor(Platform, functions);

    public static PlacementRequest RequestFor(PlatformLimits platform, params FunctionDemand[] functions) =>
        new(platform, [new HostBridgeDemand("pcie.0", functions)]);

    /// <summary>Solves, expects a map, and has the independent checker look at it.</summary>
    public static PlacementMap Map(PlacementRequest request)
    {
        PlacementResult result = PlacementSolver.Solve(request);
        Assert.True(result.Map is not null, string.Join("\n", result.Conflicts));
        Assert.Empty(result.Conflicts);
        LayoutChecker.Check(request, result.Map);
        return result.Map;
    }

    /// <summary>Solves and expects exactly one conflict.</summary>
    public static PlacementConflict Conflict(PlacementRequest request)
    {
        PlacementResult result = PlacementSolver.Solve(request);
        Assert.Null(result.Map);
        return Assert.Single(result.Conflicts);
    }

    public static BarPlacement Bar(this PlacementMap map, string name, int index)
    {
        Assert.True(map.TryGetFunction(name, out FunctionPlacement? function));
        return function.Bar(index) ?? throw new InvalidOperationException($"{name} has no BAR {index}");
    }

    public static ulong At(this PlacementMap map, string name, int index) => map.Bar(name, index).Address.Value;

    public static BridgePlacement Bridge(this PlacementMap map, string name)
    {
        Assert.True(map.TryGetFunction(name, out FunctionPlacement? function));
        return function.Bridge ?? throw new InvalidOperationException($"{name} is no bridge");
    }
}
