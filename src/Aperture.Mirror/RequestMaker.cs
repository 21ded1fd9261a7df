using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Mirror;

/// <summary>How much of the host's bridges is asked for. Addresses of BARs always are.</summary>
/// <param name="LooseWindows">Bridges whose windows need not be the host's, by name; null means all.</param>
/// <param name="BusNumbers">True when bus numbers are to be the host's.</param>
internal sealed record Identity(IReadOnlySet<string>? LooseWindows, bool BusNumbers)
{
    public bool Pins(MirrorNode bridge) => LooseWindows is not null && !LooseWindows.Contains(bridge.Name);
}

/// <summary>States the tree as the solver's demands.</summary>
internal sealed class RequestMaker(Identity identity, MirrorNotes notes)
{
    private const ulong PortsEnd = 0x1_0000;
    private const ulong LegacyEnd = 1UL << 20;

    /// <summary>The host bridges with everything below them.</summary>
    public List<HostBridgeDemand> Make(IEnumerable<MirrorRoot> roots) =>
    [
        .. roots.Select(root => new HostBridgeDemand(root.Name, [.. Functions(root.Functions, root.RootBus, root.LastBus)])
        {
            Segment = root.Domain,
            FirstBus = root.RootBus,
            LastBus = root.LastBus,
        }),
    ];

    private IEnumerable<FunctionDemand> Functions(List<MirrorNode> bus, byte number, byte last)
    {
        int nextBus = bus.Where(node => node.IsBridge).Select(node => (int)node.Secondary).Append(last + 1).Min();
        foreach (MirrorNode node in bus)
        {
            yield return node.Own ?? new FunctionDemand(node.Name, node.DeviceFunction, node.Bars)
            {
                Bridge = node.IsBridge ? Bridge(node, last) : null,
                Sriov = node.Sriov is null ? null : Vfs(node, node.Sriov, number, nextBus),
            };
        }
    }

    private BridgeDemand Bridge(MirrorNode node, byte limit)
    {
        byte last = Math.Min(node.Subordinate, limit);
        HostPciBridge? host = node.Host is { HeaderType: 1 } function ? function.Bridge : null;
        BridgeDemand demand = new([.. Functions(node.Children, node.Secondary, last)])
        {
            SecondaryBus = identity.BusNumbers ? node.Secondary : null,
            SubordinateBus = identity.BusNumbers && node.Host is not null ? last : null,
        };
        if (last != node.Subordinate)
        {
            notes.Add("Bridges that forward more buses on the host than the bridge above them does", node.Name);
        }

        // A subtractive bridge forwards what no window says, so its windows hold only where all below it lies in them.
        if (host is null || !identity.Pins(node) || (host.Subtractive && !node.Children.TrueForAll(child => Forwards(host, child))))
        {
            return demand;
        }

        return demand with
        {
            IoWindow = host.Io is { } io && io.Last.Value < PortsEnd ? io : null,
            MemoryWindow = host.Memory is { } memory && memory.Start.Value >= LegacyEnd ? memory : null,
            PrefetchableWindow = host.Prefetchable is { } prefetchable && prefetchable.Start.Value >= LegacyEnd ? prefetchable : null,
        };
    }

    private static bool Forwards(HostPciBridge bridge, MirrorNode node) =>
        node.Bars.All(bar => AddressRange.Fits(bar.Pin!.Value, bar.Size) && new AddressRange(bar.Pin.Value, bar.Size) is var range
            && (bar.Kind == BarKind.Io ? bridge.Io?.Contains(range) : bridge.Memory?.Contains(range) == true
                || bridge.Prefetchable?.Contains(range) == true) == true)
        && node.Children.TrueForAll(child => Forwards(bridge, child));

    /// <summary>
    /// VFs need bus numbers where their routing ids pass 256 functions; a host that keeps none cannot turn those VFs on, and then nor can the guest.
    /// </summary>
    private SriovDemand Vfs(MirrorNode node, SriovDemand asked, byte bus, int nextBus)
    {
        if (bus + asked.ExtraBuses(node.DeviceFunction) < nextBus)
        {
            return asked;
        }

        notes.Add("Functions whose last VFs have no bus number on the host, and so none here", node.Name);
        return asked with { FirstOffset = 0, Stride = 0 };
    }
}
