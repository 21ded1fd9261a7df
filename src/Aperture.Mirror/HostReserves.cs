using Aperture.Host.Model;
using Aperture.Placement.Platforms;

namespace Aperture.Mirror;

/// <summary>The addresses that a host's devices cannot reach by DMA, or that mean something else to them: no RAM and no BAR of a guest may lie there.</summary>
public static class HostReserves
{
    private const uint HostBridgeClass = 0x0600;
    private const ushort Amd = 0x1022;

    // AMD's joint venture, whose processors have the same address map.
    private const ushort Hygon = 0x1D94;

    /// <summary>
    /// What assigning <paramref name="functions"/> keeps from the guest: the reserved regions of their IOMMU groups and, on AMD's hosts, the HyperTransport
    /// range. Regions of the kernel's type <c>direct-relaxable</c> are free, because the kernel gives them up when a device is assigned.
    /// </summary>
    public static IReadOnlyList<ReservedRange> ForAssignment(HostMachine host, IEnumerable<HostFunction> functions)
    {
        ArgumentNullException.ThrowIfNull(host);
        List<ReservedRange> ranges = Regions(functions, region => region.Type != "direct-relaxable");
        if (IsAmd(host) && !Has(ranges, PlatformLimits.HyperTransport))
        {
            ranges.Add(PlatformLimits.HyperTransport);
        }

        return ranges;
    }

    /// <summary>True when one of <paramref name="ranges"/> holds all of <paramref name="wanted"/>.</summary>
    internal static bool Has(List<ReservedRange> ranges, ReservedRange wanted) => ranges.Exists(range => range.Range.Contains(wanted.Range));

    /// <summary>True when a host bridge says that the host routes HyperTransport as AMD's do.</summary>
    internal static bool IsAmd(HostMachine host) =>
        host.Functions.Any(function => function.Identity.ClassCode >> 8 == HostBridgeClass && function.Identity.Vendor is Amd or Hygon);

    /// <summary>The regions of the functions' groups, each once, with the groups that keep it.</summary>
    internal static List<ReservedRange> Regions(IEnumerable<HostFunction> functions, Func<HostReservedRegion, bool> wanted) =>
    [
        .. functions.SelectMany(function => function.ReservedRegions.Where(wanted).Select(region => (function.IommuGroup, Region: region)))
            .GroupBy(item => item.Region).OrderBy(group => group.Key.Range)
            .Select(group => new ReservedRange(
                group.Key.Range, $"what {Groups([.. group.Select(item => item.IommuGroup ?? -1).Distinct().Order()])} keeps ({group.Key.Type})",
                KindOf(group.Key.Type))),
    ];

    private static string Groups(List<int> numbers) =>
        numbers.Count == 1 ? $"the host's IOMMU group {numbers[0]}" : $"the host's IOMMU groups {numbers[0]} and {numbers.Count - 1} more";

    private static ReservedKind KindOf(string type) => type switch
    {
        "msi" => ReservedKind.MsiWindow,
        "direct" or "direct-relaxable" => ReservedKind.Rmrr,
        _ => ReservedKind.Iommu,
    };
}
