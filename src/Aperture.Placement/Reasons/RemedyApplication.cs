using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Placement.Reasons;

/// <summary>Makes the change that a remedy names.</summary>
public static class RemedyApplication
{
    /// <summary>The request with the change made; all else is the same.</summary>
    public static PlacementRequest Apply(this PlacementRequest request, Remedy remedy)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(remedy);
        PlatformLimits platform = request.Platform;
        ulong value = remedy.Value ?? 0;
        return remedy.Kind switch
        {
            RemedyKind.Window32 => request with { Platform = platform with { Mmio32Window = remedy.Range } },
            RemedyKind.Window64 => request with { Platform = platform with { Mmio64Window = remedy.Range } },
            RemedyKind.LowHole =>
                request with
                {
                    Platform = platform with
                    {
                        LowRamFloor = Math.Min(platform.LowRamFloor, value),
                        LowRamCeiling = Math.Min(platform.LowRamCeiling, value),
                    },
                },
            RemedyKind.WiderAddress => request with { Platform = platform with { PhysicalAddressBits = (int)value } },
            RemedyKind.LessRam => request with { Platform = platform with { RamSize = value } },
            RemedyKind.NoReserves =>
                Functions(request, function => function.Bridge is { } bridge ? function with { Bridge = bridge with { Reserve = null } } : function),
            RemedyKind.FreeBridges => Functions(request, Freed),
            _ => Functions(request, function => function.Name == remedy.Function ? Changed(function, remedy, value) : function),
        };
    }

    private static FunctionDemand Freed(FunctionDemand function) => function.Bridge is not { } bridge ? function : function with
    {
        Bridge = bridge with { SecondaryBus = null, SubordinateBus = null, IoWindow = null, MemoryWindow = null, PrefetchableWindow = null },
    };

    private static FunctionDemand Changed(FunctionDemand function, Remedy remedy, ulong value) => remedy.Kind switch
    {
        RemedyKind.FewerVfs => function with { Sriov = (function.Sriov ?? new SriovDemand(0)) with { TotalVfs = (ushort)value } },
        _ => function with { Bars = [.. function.Bars.Select(bar => bar.Index != remedy.Bar ? bar : Changed(bar, remedy.Kind, value))] },
    };

    private static BarDemand Changed(BarDemand bar, RemedyKind kind, ulong value) => kind switch
    {
        RemedyKind.MovePin => bar with { Pin = new GuestAddress(value) },
        RemedyKind.DropPin => bar with { Pin = null },
        RemedyKind.SmallerBar => bar with { Size = value },
        _ => bar,
    };

    private static PlacementRequest Functions(PlacementRequest request, Func<FunctionDemand, FunctionDemand> change)
    {
        List<FunctionDemand> Walk(IReadOnlyList<FunctionDemand> functions) =>
        [
            .. functions.Select(change).Select(function => function.Bridge is { Functions.Count: > 0 } bridge
                ? function with { Bridge = bridge with { Functions = Walk(bridge.Functions) } }
                : function),
        ];
        return request with { HostBridges = [.. request.HostBridges.Select(host => host with { Functions = Walk(host.Functions) })] };
    }
}
