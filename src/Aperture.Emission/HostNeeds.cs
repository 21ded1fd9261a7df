using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Emission;

/// <summary>What lies right below one host bridge, for monitors that give each a window of its own.</summary>
/// <param name="Low">From the first to the last address below 4 GiB that something takes, or null when nothing does.</param>
/// <param name="High">The same from 4 GiB up.</param>
internal sealed record HostNeeds(AddressRange? Low, AddressRange? High)
{
    private const ulong M = 1UL << 20;

    /// <summary>Bytes taken below 4 GiB.</summary>
    public required UInt128 LowBytes { get; init; }

    /// <summary>Bytes taken from 4 GiB up.</summary>
    public required UInt128 HighBytes { get; init; }

    /// <summary>Looks at BARs on the root bus and at the windows of bridges there; whole MiB.</summary>
    public static HostNeeds Of(HostBridgePlacement host)
    {
        List<AddressRange> taken = [];
        foreach (FunctionPlacement function in host.Functions)
        {
            taken.AddRange(function.Bars.Where(bar => bar.Demand.Kind != Pci.BarKind.Io).Select(bar => bar.Range));
            taken.AddRange(new[] { function.Bridge?.Memory, function.Bridge?.Prefetchable }.OfType<AddressRange>());
        }

        List<AddressRange> low = [.. taken.Where(r => r.Start.Value < PlatformLimits.FourGiB)];
        List<AddressRange> high = [.. taken.Where(r => r.Start.Value >= PlatformLimits.FourGiB)];
        return new HostNeeds(Hull(low), Hull(high)) { LowBytes = Sum(low), HighBytes = Sum(high) };
    }

    private static UInt128 Sum(List<AddressRange> ranges) => ranges.Aggregate(UInt128.Zero, (sum, range) => sum + range.Size);

    private static AddressRange? Hull(List<AddressRange> ranges)
    {
        List<AddressRange> some = [.. ranges.Where(r => !r.IsEmpty)];
        return some.Count == 0 ? null : AddressRange.FromBounds(some.Min(r => r.Start).AlignDown(M), new GuestAddress(some.Max(r => r.Last).Value | (M - 1)));
    }
}
