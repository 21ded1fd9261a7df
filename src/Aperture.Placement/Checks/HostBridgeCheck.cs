using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.Placement.Search;

namespace Aperture.Placement.Checks;

/// <summary>Contradictions among the host bridges: names, bus ranges of one segment, and the windows that the user set for them.</summary>
internal static class HostBridgeCheck
{
    private const int MostBridges = 4096;
    private const ulong LegacyEnd = 1UL << 20;
    private const ulong IoEnd = 0x1_0000;

    public static void Run(PlacementRequest request, List<PlacementConflict> conflicts)
    {
        IReadOnlyList<HostBridgeDemand> hosts = request.HostBridges;
        if (hosts.Count is 0 or > MostBridges)
        {
            conflicts.Add(Bad("the host bridges", null, $"there are {hosts.Count} host bridges, and there must be 1 to {MostBridges}"));
            return;
        }

        HashSet<string> names = new(StringComparer.Ordinal);
        foreach (HostBridgeDemand host in hosts)
        {
            if (!names.Add(host.Name))
            {
                conflicts.Add(Bad(host.Name, null, $"two host bridges are called {host.Name}: names must be unique"));
            }

            if (host.LastBus < host.FirstBus)
            {
                conflicts.Add(new PlacementConflict(
                    PlacementConflictKind.BusNumbers, new ConflictParty(host.Name),
                    $"{host.Name} has no bus: its last bus {host.LastBus} is below its first bus {host.FirstBus}"));
            }
        }

        CheckBuses(hosts, conflicts);
        ulong end = Arenas.SpaceEnd(request.Platform);
        ulong lowest = Arenas.LowestHoleStart(request.Platform);
        CheckWindows(hosts, host => host.IoWindows, "I/O", new Extent(0, IoEnd), new Extent(0, 0), conflicts);
        CheckWindows(hosts, host => host.Mmio32Windows, "32-bit memory", new Extent(lowest, PlatformLimits.FourGiB), new Extent(0, LegacyEnd), conflicts);
        CheckWindows(hosts, host => host.Mmio64Windows, "64-bit memory", new Extent(PlatformLimits.FourGiB, end), new Extent(0, 0), conflicts);
    }

    private static void CheckBuses(IReadOnlyList<HostBridgeDemand> hosts, List<PlacementConflict> conflicts)
    {
        HostBridgeDemand? widest = null;
        foreach (HostBridgeDemand host in hosts.OrderBy(host => host.Segment).ThenBy(host => host.FirstBus))
        {
            if (widest is not null && widest.Segment == host.Segment && widest.LastBus >= host.FirstBus)
            {
                conflicts.Add(new PlacementConflict(
                    PlacementConflictKind.BusNumbers,
                    new ConflictParty(host.Name),
                    $"{host.Name} has buses {host.FirstBus} to {host.LastBus} of segment {host.Segment}, and {widest.Name} has {widest.FirstBus} to "
                        + $"{widest.LastBus} of it")
                {
                    Obstacle = new ConflictParty(widest.Name),
                });
            }

            widest = widest is null || widest.Segment != host.Segment || host.LastBus > widest.LastBus ? host : widest;
        }
    }

    /// <summary>
    /// Windows lie in <paramref name="space"/>, or wholly in <paramref name="ignored"/>, where they count for nothing; those of two bridges are apart.
    /// </summary>
    private static void CheckWindows(
        IReadOnlyList<HostBridgeDemand> hosts, Func<HostBridgeDemand, IReadOnlyList<AddressRange>?> windows, string kind, Extent space, Extent ignored,
        List<PlacementConflict> conflicts)
    {
        List<(Extent Extent, HostBridgeDemand Host)> all = [];
        foreach (HostBridgeDemand host in hosts)
        {
            foreach (AddressRange window in windows(host) ?? [])
            {
                if (window.IsEmpty || window.Last.Value >= space.End || (window.Start.Value < space.Start && window.Last.Value >= ignored.End))
                {
                    string place = space.IsEmpty ? "the guest's address width leaves none" : $"it must lie in {space}";
                    conflicts.Add(Bad(host.Name, window.IsEmpty ? null : window, $"the {kind} window {window} of {host.Name} cannot be there: {place}"));
                    continue;
                }

                all.Add((Extent.Of(window), host));
            }
        }

        (Extent Extent, HostBridgeDemand Host)? widest = null;
        foreach ((Extent extent, HostBridgeDemand host) in all.OrderBy(item => item.Extent.Start))
        {
            if (widest is { } other && other.Host != host && other.Extent.End > extent.Start)
            {
                conflicts.Add(Bad(host.Name, extent.ToRange(), $"the {kind} window {extent} of {host.Name} overlaps {other.Extent} of {other.Host.Name}"));
            }

            widest = widest is null || extent.End > widest.Value.Extent.End ? (extent, host) : widest;
        }
    }

    private static PlacementConflict Bad(string name, AddressRange? range, string sentence) =>
        new(PlacementConflictKind.BadLimit, new ConflictParty(name, range), sentence);
}
