using Aperture.Board;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;

namespace Aperture.Machine.Verification;

/// <summary>Takes the snapshot that verification compares: registers, view and slots as they are between two changes of either.</summary>
internal sealed class MapCollector(PciBoard board, SlotListener? slots, WriteHistory history, IIommuMappings? iommu)
{
    /// <summary>The snapshot. Any thread, also while the guest runs.</summary>
    public MapFindings Collect()
    {
        // No configuration write comes between the parts, and no change of the map, which need not be one: flash changes its mode by itself.
        lock (board.Pci.Sync)
        {
            using AddressChange still = board.Memory.Begin();
            DecodeMap decode = board.Decode;
            ILookup<Bar, string> owners = Owners();
            return new MapFindings
            {
                IsHandedOver = board.IsHandedOver,
                Functions = [.. board.Pci.Functions.Select(f => Describe(f, decode, owners))],
                Ecam = board.Chipset.Ecam,
                View = View(board.Memory.View),
                Granted = GrantCollector.Collect(board.Memory.View),
                HiddenRam = board.HiddenRam,
                Slots = slots is null ? null : [.. slots.Slots.Select(s => new FoundRange(s.Range, s.Region.Name, true, s.IsReadOnly))],
                Trapped = slots is null ? [] : [.. slots.Trapped.Select(t => new FoundTrapped(t.Range, t.Region.Name, t.Reason))],
                Iommu = iommu?.Snapshot(),
                Servers = iommu?.Servers() ?? [],
            };
        }
    }

    private static List<FoundRange> View(FlatView view)
    {
        List<FoundRange> ranges = new(view.Ranges.Length);
        foreach (ref readonly FlatRange run in view.Ranges)
        {
            ranges.Add(new FoundRange(run.Range, run.Region.Name, run.Region.Block is not null, run.Region.IsReadOnly));
        }

        return ranges;
    }

    private FoundFunction Describe(PciFunction function, DecodeMap decode, ILookup<Bar, string> owners)
    {
        PciBridge? bridge = function as PciBridge;
        return new FoundFunction(
            function.Name,
            function.Bdf,
            [.. function.Bars.Select(b => Describe(function, b, decode, owners))],
            bridge is null ? null : new BridgeState(
                bridge.SecondaryBus, bridge.SubordinateBus, bridge.Window(BridgeWindow.Io), bridge.Window(BridgeWindow.Memory),
                bridge.Window(BridgeWindow.Prefetchable)),
            bridge is null ? null : history.Describe(function, PciRegisters.PrimaryBus, 6));
    }

    private FoundBar Describe(PciFunction function, Bar bar, DecodeMap decode, ILookup<Bar, string> owners)
    {
        RefusedBar? refused = decode.RefusalOf(bar);
        bool enabled = bar.IsSpaceEnabled && bar.IsEnabled;
        return new FoundBar(
            bar.Index,
            decode.Find(bar)?.Size ?? bar.Size,
            bar.Programmed,
            enabled,
            decode.Find(bar)?.Start,
            enabled && refused is { Reason: >= DecodeRefusal.Wraps } why ? Words(why) : null,
            [.. owners[bar]],
            history.Describe(function, bar.Register, bar.Kind.Is64Bit() ? 2 : 1));
    }

    // The names of what shows in memory, by the BAR that it answers for.
    private ILookup<Bar, string> Owners()
    {
        List<(Bar Bar, string Name)> owners = [];
        foreach (ref readonly FlatRange run in board.Memory.View.Ranges)
        {
            if (board.OwnerOf(run.Region) is { } owner)
            {
                owners.Add((owner.Bar, run.Region.Name));
            }
        }

        return owners.ToLookup(o => o.Bar, o => o.Name);
    }

    private static string Words(RefusedBar refused) => refused.Reason switch
    {
        DecodeRefusal.NotForwarded => $"that {refused.Obstacle} does not forward it",
        DecodeRefusal.OutsideHostWindows => "it outside the host bridge's windows",
        DecodeRefusal.Reserved => $"{refused.Obstacle} there",
        DecodeRefusal.Conflict => $"{refused.Other?.Function.Name} {refused.Other?.Bar.Name} there",
        _ => "no such range of addresses",
    };
}
