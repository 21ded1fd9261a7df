using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Placement.Map;

namespace Aperture.Board;

/// <summary>
/// Keeps the windows of bridges open for pinned BARs below them while firmware enumerates: firmware writes windows by its own account of the BARs, which is
/// wrong for those that do not move.
/// </summary>
internal static class PinnedWindows
{
    /// <summary>Locks each window of <paramref name="map"/> that a pinned BAR lies in, on the bridge of the same place.</summary>
    public static void Lock(PciHierarchy hierarchy, PlacementMap map)
    {
        foreach (HostBridgePlacement bridge in map.HostBridges)
        {
            Visit(hierarchy.Root, bridge.Functions);
        }
    }

    private static void Visit(PciBus bus, IReadOnlyList<FunctionPlacement> functions)
    {
        foreach (FunctionPlacement placement in functions)
        {
            PciFunction? function = bus.Functions.FirstOrDefault(f => f.DeviceFunction == placement.Address.DeviceFunction);
            if (placement.Bridge is not { } windows || function is not PciBridge bridge)
            {
                continue;
            }

            Visit(bridge.Secondary, windows.Functions);
            List<AddressRange> pinned = [.. Pinned(bridge, isIo: false)];
            List<AddressRange> pinnedPorts = [.. Pinned(bridge, isIo: true)];
            Lock(bridge, BridgeWindow.Io, windows.Io, pinnedPorts);
            Lock(bridge, BridgeWindow.Memory, windows.Memory, pinned);
            Lock(bridge, BridgeWindow.Prefetchable, windows.Prefetchable, pinned);
        }
    }

    private static IEnumerable<AddressRange> Pinned(PciBridge bridge, bool isIo) =>
        PciHierarchy.FunctionsBelow(bridge.Secondary).SelectMany(f => f.Bars).Where(b => (b.Kind == BarKind.Io) == isIo).Select(Pinned).OfType<AddressRange>();

    private static AddressRange? Pinned(Bar bar) => bar.HeldPin is { } pin ? new AddressRange(pin, bar.FullSize) : null;

    private static void Lock(PciBridge bridge, BridgeWindow window, AddressRange? planned, List<AddressRange> pinned)
    {
        if (planned is { IsEmpty: false } range && pinned.Exists(range.Contains))
        {
            bridge.LockWindow(window, range);
        }
    }
}
