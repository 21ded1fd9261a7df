using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Doctor.Checks;

/// <summary>Resizable BARs that are smaller than they can be, and whether the windows above have room for more (PCI Express 5.0, section 7.8.6).</summary>
internal static class ResizeCheck
{
    private const string Name = "rebar";

    internal static IEnumerable<Verdict> Look(Examination examination)
    {
        List<HostFunction> largest = [];
        foreach (HostFunction device in examination.Devices.Where(static device => !device.ResizableBars.IsEmpty))
        {
            List<HostResizableBar> small = [.. device.ResizableBars.Where(static bar => bar.LargestSize > bar.CurrentSize)];
            if (small.Count == 0)
            {
                largest.Add(device);
            }

            foreach (HostResizableBar bar in small)
            {
                yield return Of(examination, device, bar);
            }
        }

        if (largest.Count != 0)
        {
            yield return new Verdict(VerdictKind.Good, Name, Examination.Addresses(largest),
                $"{Examination.Names(largest)}: resizable BARs have their largest size.", string.Join(", ", largest[0].ResizableBars.Select(Describe)));
        }

        List<HostFunction> dark = [.. examination.Devices.Where(static device => DeviceClasses.IsAccelerator(device) && !device.KnowsExtendedConfig)];
        if (dark.Count != 0)
        {
            yield return new Verdict(VerdictKind.Unknown, Name, Examination.Addresses(dark),
                $"{Examination.Names(dark)}: whether the BARs could be larger is not known.", $"{dark[0].Config.Length} bytes of "
                    + $"{Examination.Place(dark[0], "config")}")
            {
                Changes = [examination.CaptureCommand],
            };
        }
    }

    private static Verdict Of(Examination examination, HostFunction device, HostResizableBar bar)
    {
        string name = $"{BarKinds.BarName(bar.BarIndex)} of {device.Address}";
        string size = ByteSize.Format(bar.LargestSize);
        string could = $"{name} is {ByteSize.Format(bar.CurrentSize)} and can be {size}";
        if (Narrowest(examination, device, bar) is not { } window)
        {
            return Roomy(examination, device, bar, could) with
            {
                Changes = [$"aperture run --device vfio,host={device.Address},resize={BarKinds.BarName(bar.BarIndex)}@{size},..."],
            };
        }

        return new Verdict(VerdictKind.Should, Name, [device.Address],
            $"{could}, but {window.Bridge.Address} above has no room for that: "
                + "a driver that wants all of the device's memory (and GPUDirect) sees a part of it.",
            $"{Describe(bar)}; {window.Bridge.Address} prefetchable window holds {ByteSize.Format(window.Window)}, {ByteSize.Format(window.Needed)} "
                + "would be needed")
        {
            Changes =
            [
                "turn on Resizable BAR (Re-Size BAR Support) together with Above 4G Decoding in the firmware setup",
                $"or, with nothing else in use below it: echo 1 > {Examination.Place(window.Bridge, "remove")}; echo 1 > /sys/bus/pci/rescan, "
                    + "with pci=realloc=on on the kernel's command line",
            ],
        };
    }

    // A root bus has no window of a bridge; what it forwards is told by the kernel's map only.
    private static Verdict Roomy(Examination examination, HostFunction device, HostResizableBar bar, string could)
    {
        ulong? root = examination.Above(device).IsEmpty ? DecodingCheck.LargestWindow(examination, device) : ulong.MaxValue;
        return root switch
        {
            null => new Verdict(VerdictKind.Unknown, Name, [device.Address], $"{could}; how much room its root bus has is not known.",
                $"{Describe(bar)}; no addresses in /proc/iomem"),
            { } most when most < bar.LargestSize => new Verdict(VerdictKind.Should, Name, [device.Address], $"{could}, but its root bus has no room for that.",
                $"{Describe(bar)}; /proc/iomem: its largest window is {ByteSize.Format(most)}"),
            _ => new Verdict(VerdictKind.Note, Name, [device.Address], $"{could}; the windows above have room for that.", Describe(bar)),
        };
    }

    /// <summary>The bridge above whose prefetchable window cannot hold the BAR at its largest beside what else is below; null where all can.</summary>
    private static (HostFunction Bridge, ulong Window, ulong Needed)? Narrowest(Examination examination, HostFunction device, HostResizableBar bar)
    {
        foreach (HostFunction bridge in examination.Above(device).Where(static bridge => bridge.Bridge is not null))
        {
            ulong window = bridge.Bridge!.Prefetchable?.Size ?? 0;
            ulong beside = Below(examination, bridge).Aggregate(0UL, (sum, function) => sum + function.Bars
                .Where(other => other.Kind.IsPrefetchable() && (function.Address != device.Address || other.Index != bar.BarIndex))
                .Aggregate(0UL, static (all, other) => all + other.Size));
            if (beside > window || bar.LargestSize > window - beside)
            {
                return (bridge, window, beside > ulong.MaxValue - bar.LargestSize ? ulong.MaxValue : bar.LargestSize + beside);
            }
        }

        return null;
    }

    private static IEnumerable<HostFunction> Below(Examination examination, HostFunction bridge)
    {
        Stack<PciAddress> open = new(bridge.Children);
        while (open.TryPop(out PciAddress next))
        {
            HostFunction function = examination.Host.Find(next)!;
            yield return function;
            function.Children.ToList().ForEach(open.Push);
        }
    }

    private static string Describe(HostResizableBar bar) =>
        $"resizable BAR capability: {BarKinds.BarName(bar.BarIndex)} {ByteSize.Format(bar.CurrentSize)}, sizes offered 0x{bar.SupportedSizes:x} MiB";
}
