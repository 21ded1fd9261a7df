using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Map;
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
/// <param name="Reaches">True when it can.</param>
/// <param name="Why">The reason, as it reads after the verdict.</param>
/// <param name="Distance">The way on the host.</param>
public sealed record PeerForecast(PeerDevice From, PeerDevice To, int Bar, AddressRange Range, bool Reaches, string Why, P2pDistance Distance)
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
                    string? against = Obstacle(bar, to.Host, distance, reserved, iommuBits);
                    all.Add(new PeerForecast(from, to, bar.Demand.Index, bar.Range, against is null, against ?? Way(distance), distance));
                }
            }
        }

        return all;
    }

    private static string? Obstacle(BarPlacement bar, HostFunction owner, P2pDistance distance, IReadOnlyList<ReservedRange> reserved, int? iommuBits)
    {
        if (bar.Range.Size < Page)
        {
            return "it is smaller than a page, and the IOMMU maps pages";
        }

        if (reserved.FirstOrDefault(range => range.Range.Overlaps(bar.Range)) is { } taken)
        {
            return $"it overlaps {taken.Range}, {taken.Origin}";
        }

        if (iommuBits is { } bits && bits < 64 && bar.Range.Last.Value >> bits != 0)
        {
            return $"it passes the {bits} address bits that the host's IOMMU translates";
        }

        GuestAddress? there = owner.AllBars.FirstOrDefault(other => other.Index == bar.Demand.Index)?.Address;
        return distance.Routing == P2pRouting.Direct && there != bar.Address
            ? $"requests go straight to the peer by the host's addresses, and the host has this BAR at {there?.ToString() ?? "no address"}; pin it there with "
                + $"bars={BarIndex.Name(bar.Demand.Index)}=host"
            : null;
    }

    private static string Way(P2pDistance distance) => distance.Routing switch
    {
        P2pRouting.Direct => "straight to the peer, at the host's own address",
        P2pRouting.Redirected => "through the host's IOMMU",
        _ => "through the host's IOMMU; the ports' access control is not known",
    };
}
