using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>A device of the host in a guest's map.</summary>
/// <param name="Name">Its name in the map.</param>
/// <param name="Host">The device.</param>
/// <param name="Bars">Where the guest has its BARs.</param>
public sealed record PeerDevice(string Name, HostFunction Host, IReadOnlyList<BarPlacement> Bars);

/// <summary>Whether one device's DMA can reach a BAR of another.</summary>
/// <param name="From">Who sends.</param>
/// <param name="To">Whose BAR it is.</param>
/// <param name="Bar">The BAR, as <see cref="BarIndex"/> numbers it.</param>
/// <param name="Range">Where the guest has it.</param>
/// <param name="Reaches">True when it can, false when it cannot; null when that is up to the platform or the description does not tell.</param>
/// <param name="Why">The reason, as it reads after the verdict.</param>
/// <param name="Distance">The way on the host.</param>
public sealed record PeerForecast(PeerDevice From, PeerDevice To, int Bar, AddressRange Range, bool? Reaches, string Why, P2pDistance Distance)
{
    private const ulong Page = 4096;

    /// <summary>
    /// The forecast for every memory BAR of every pair of <paramref name="devices"/>. All of them share one I/O address space, so what any of their groups
    /// keeps is kept from all.
    /// </summary>
    /// <param name="host">The host.</param>
    /// <param name="devices">What is passed, in the order to report.</param>
    /// <param name="iommuBits">Address bits that the host's IOMMU translates, or null when not known.</param>
    public static IReadOnlyList<PeerForecast> All(HostMachine host, IReadOnlyList<PeerDevice> devices, int? iommuBits)
    {
        ArgumentNullException.ThrowIfNull(devices);
        IReadOnlyList<ReservedRange> reserved = HostReserves.ForAssignment(host, devices.Select(device => device.Host));
        List<PeerForecast> all = [];
        foreach (PeerDevice from in devices)
        {
            foreach (PeerDevice to in devices.Where(device => device != from))
            {
                P2pDistance distance = HostTopology.Distance(host, from.Host.Address, to.Host.Address);
                foreach (BarPlacement bar in to.Bars.Where(bar => bar.Demand.Kind.IsMemory() && bar.Demand.Index < BarKinds.RomIndex))
                {
                    (bool? reaches, string why) = Obstacle(bar, reserved, iommuBits) is { } against ? (false, against) : Way(bar, to.Host, distance);
                    all.Add(new PeerForecast(from, to, bar.Demand.Index, bar.Range, reaches, why, distance));
                }
            }
        }

        return all;
    }

    private static string? Obstacle(BarPlacement bar, IReadOnlyList<ReservedRange> reserved, int? iommuBits)
    {
        if (bar.Range.Size < Page)
        {
            return "it is smaller than a page, and the IOMMU maps pages";
        }

        if (reserved.FirstOrDefault(range => range.Range.Overlaps(bar.Range)) is { } taken)
        {
            return $"it overlaps {taken.Range}, {taken.Origin}";
        }

        return iommuBits is { } bits && bits < 64 && bar.Range.Last.Value >> bits != 0
            ? $"it passes the {bits} address bits that the host's IOMMU translates"
            : null;
    }

    private static (bool? Reaches, string Why) Way(BarPlacement bar, HostFunction owner, P2pDistance distance)
    {
        GuestAddress? there = owner.AllBars.FirstOrDefault(other => other.Index == bar.Demand.Index)?.Address;
        bool asOnHost = there == bar.Address;
        string pin = $"the host has this BAR at {there?.ToString() ?? "no address"}; pin it there with bars={BarIndex.Name(bar.Demand.Index)}=host";
        bool platform = distance.Kind is P2pDistanceKind.SameRootComplex or P2pDistanceKind.AcrossHostBridges or P2pDistanceKind.Unknown;
        return distance.Routing switch
        {
            P2pRouting.Redirected => (true, "through the host's IOMMU"),
            P2pRouting.Direct when asOnHost => (true, "straight to the peer, at the host's own address"),
            P2pRouting.Direct => (false, $"requests go straight to the peer by the host's addresses, and {pin}"),
            _ when platform => (null, "up to the platform: whether its root complex carries requests between them"),
            _ when asOnHost => (true, "at the host's own address, straight or through its IOMMU; the ports' access control is not known"),
            _ => (null, $"the ports' access control is not known: through the host's IOMMU, or not at all if requests go straight, because {pin}"),
        };
    }
}
