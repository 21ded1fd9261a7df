using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Doctor.Checks;

/// <summary>Whether large BARs lie above 4 GiB, and what of the windows keeps them from there.</summary>
internal static class DecodingCheck
{
    private const string Name = "above-4g";
    private const ulong FourGiB = 1UL << 32;
    private const ulong Large = 256UL << 20;

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        List<HostFunction> wide = [.. examination.Devices.Where(static device => Wide(device).Any())];
        List<HostFunction> low = wide.FindAll(static device => Wide(device).Any(static bar => bar.Address is { } at && at.Value < FourGiB));
        List<HostFunction> high = wide.FindAll(device => !low.Contains(device) && Wide(device).All(static bar => bar.Address is not null));
        if (low.Count != 0)
        {
            yield return new Verdict(VerdictKind.Should, Name, Examination.Addresses(low),
                $"{Examination.Names(low)}: large 64-bit BARs lie below 4 GiB, where there is no room to resize them and a guest that has them there "
                    + "loses low RAM.",
                Seen(low[0]) + Roots(examination, low[0]))
            {
                Changes = ["turn on Above 4G Decoding in the firmware setup"],
            };
        }

        if (high.Count != 0)
        {
            yield return new Verdict(VerdictKind.Good, Name, Examination.Addresses(high),
                $"{Examination.Names(high)}: large BARs lie above 4 GiB.", Seen(high[0]) + Roots(examination, high[0]));
        }

        foreach (HostFunction bridge in wide.SelectMany(device => examination.Above(device)).DistinctBy(static bridge => bridge.Address)
            .OrderBy(static bridge => bridge.Address)
            .Where(static bridge => bridge.Bridge is { Prefetchable: not null, PrefetchableIs64Bit: false }))
        {
            yield return new Verdict(VerdictKind.Should, Name, [bridge.Address],
                $"{bridge.Address} forwards prefetchable memory below 4 GiB only: no BAR below it can lie higher, in a guest that mirrors it neither.",
                $"{Examination.Place(bridge, "config")}, register 0x24, bit 0 is 0: a 32-bit prefetchable window")
            {
                Changes = ["put the device below another port; this is how the bridge is made"],
            };
        }
    }

    private static IEnumerable<HostBar> Wide(HostFunction device) => device.Bars.Where(static bar => bar.Kind.Is64Bit() && bar.Size >= Large);

    private static string Seen(HostFunction device) =>
        $"{Examination.Place(device, "resource")}: {string.Join(", ", Wide(device).Select(Examination.Describe))}";

    /// <summary>The size of the largest window of a function's root bus; null when the windows are not told.</summary>
    internal static ulong? LargestWindow(Examination examination, HostFunction device) =>
        RootWindows(examination, device)?.Select(static window => window.Range.Size).DefaultIfEmpty(0UL).Max();

    private static List<HostRootWindow>? RootWindows(Examination examination, HostFunction device) =>
        examination.System.RootWindows is { } all && HostTopology.HostBridgeOf(examination.Host, device) is { } root
            ? [.. all.Where(window => window.Domain == root.Domain && window.Bus == root.RootBus)]
            : null;

    private static string Roots(Examination examination, HostFunction device)
    {
        if (RootWindows(examination, device) is not { } windows || HostTopology.HostBridgeOf(examination.Host, device) is not { } root)
        {
            return "";
        }

        string told = windows.Count == 0 ? "no window" : string.Join(", ", windows.Select(static window => window.Range));
        return $"; /proc/iomem: PCI Bus {root.Domain:x4}:{root.RootBus:x2} has {told}";
    }
}
