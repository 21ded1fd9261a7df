using Aperture.Pci;
using Aperture.Pci.Ports;

namespace Aperture.Machine.Hotplug;

/// <summary>Whether what is plugged into a port fits the windows that the guest gave the port, and how large they would have to be.</summary>
internal static class PortCapacity
{
    private const ulong Granule = 1 << 20;

    /// <summary>
    /// A sentence that names the BARs of <paramref name="functions"/> for which <paramref name="port"/> forwards too little, and the option that keeps enough;
    /// null when they fit, or when the guest has not numbered the port's bus yet and will find them all together. Pins are checked elsewhere.
    /// </summary>
    internal static string? Shortage(IReadOnlyList<PciFunction> functions, PciBridge port)
    {
        if (port.SecondaryBus == 0)
        {
            return null;
        }

        IEnumerable<Bar> all = functions.SelectMany(function => function.Bars);
        List<Bar> open = [.. all.Where(bar => bar.Pin is null && bar.Kind.IsMemory() && bar.Index != BarKinds.RomIndex)];

        // A BAR that is prefetchable and 64-bit goes to the prefetchable window where there is one (PCI-to-PCI Bridge 1.2, section 3.2.5.9); the others
        // below 4 GiB.
        bool split = port.Window(BridgeWindow.Prefetchable) is not null;
        List<Bar> high = [.. open.Where(bar => split && bar.Kind == BarKind.Memory64Prefetchable)];
        string?[] parts =
        [
            Part(port.Window(BridgeWindow.Memory), [.. open.Except(high)], "memory", out string memory),
            Part(port.Window(BridgeWindow.Prefetchable), high, "prefetchable", out string prefetchable),
        ];
        if (parts is [null, null])
        {
            return null;
        }

        string bars = string.Join(" and ", parts.OfType<string>());
        return $"{bars}: the guest has no addresses for them unless it moves {port.Name}'s windows; "
            + $"to keep room, start the machine with --root-port id={port.Name}{memory}{prefetchable}";
    }

    private static string? Part(AddressRange? window, List<Bar> bars, string name, out string option)
    {
        option = "";
        ulong need = bars.Aggregate(0UL, static (sum, bar) => sum + bar.FullSize);
        if (bars.Count == 0 || (window is { } range && Fits(range, bars)))
        {
            return null;
        }

        // A window that is large enough and still too small begins at no multiple of the largest BAR: with that much more it may begin anywhere.
        ulong wanted = window is { } unaligned && unaligned.Size >= need ? need + bars.Max(static bar => bar.Size) - Granule : need;
        option = $",{name}={ByteSize.Format((wanted + Granule - 1) & ~(Granule - 1))}";
        string sizes = string.Join(" and ", bars.GroupBy(bar => bar.Function.Name).Select(static of =>
            $"{of.Key} {string.Join(" and ", of.Select(static bar => $"{bar.Name} ({ByteSize.Format(bar.FullSize)})"))}"));
        return $"{sizes} do{(bars.Count == 1 ? "es" : "")} not fit {(bars.DistinctBy(bar => bar.Function).Count() == 1 ? "its" : "their")} port's "
            + $"{name} window{(window is { } there ? $", {there} ({ByteSize.Format(there.Size)})" : ", which is closed")}";
    }

    /// <summary>Powers of two, the largest first, leave no gap behind the first one's alignment.</summary>
    private static bool Fits(AddressRange window, List<Bar> bars)
    {
        UInt128 at = window.Start.Value;
        foreach (Bar bar in bars.OrderByDescending(static bar => bar.Size))
        {
            at = ((at + bar.Size - 1) & ~((UInt128)bar.Size - 1)) + bar.FullSize;
        }

        return at - 1 <= window.Last.Value;
    }
}
