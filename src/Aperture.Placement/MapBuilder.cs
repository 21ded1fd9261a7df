using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Reasons;
using Aperture.Placement.Search;

namespace Aperture.Placement;

/// <summary>Turns a settled tree into the public map.</summary>
internal sealed class MapBuilder
{
    private readonly BlockTree _tree;
    private readonly Arenas _arenas;
    private readonly ReasonFinder _reasons;

    private MapBuilder(BlockTree tree, Arenas arenas)
    {
        _tree = tree;
        _arenas = arenas;
        _reasons = new ReasonFinder(tree, arenas);
    }

    public static PlacementMap Build(Ground ground, Topology topology, BlockTree tree, Arenas arenas)
    {
        MapBuilder builder = new(tree, arenas);
        List<Extent>[] io = builder.Windows(ArenaKind.Io, topology);
        List<Extent>[] low = builder.Windows(ArenaKind.Low, topology);
        List<Extent>[] high = builder.Windows(ArenaKind.High, topology);
        return new PlacementMap
        {
            Ram = Ram(ground.Platform, arenas),
            Ecam = arenas.Ecams[0]?.ToRange(),
            Ecams = [.. ground.Segments.Select((segment, index) => (segment, arenas.Ecams[index])).Where(pair => pair.Item2 is not null)
                .Select(pair => new EcamPlacement(pair.segment, pair.Item2!.Value.ToRange()))],
            Metrics = Metering.Of(ground, tree, arenas),
            HostBridges = [.. topology.Hosts.Select((demand, host) => new HostBridgePlacement
            {
                Name = demand.Name,
                Segment = demand.Segment,
                FirstBus = demand.FirstBus,
                LastBus = demand.LastBus,
                IoWindows = Ranges(io[host]),
                Mmio32Windows = Ranges(low[host]),
                Mmio64Windows = Ranges(high[host]),
                Functions = builder.Functions(topology.Roots[host]),
            })],
            LeftOut = [.. topology.Bars.Where(bar => bar.LeftOut).Select(bar => new LeftOutBar(bar.Node.Name, bar.Demand, bar.Node.Parent!.Name))],
        };
    }

    private static RamPlacement Ram(PlatformLimits platform, Arenas arenas)
    {
        GuestAddress holeEnd = platform.RamBase.Value > 0 ? platform.RamBase : new GuestAddress(PlatformLimits.FourGiB);
        AddressRange[] low = [.. arenas.Ram.Low.Select(piece => piece.ToRange())];
        AddressRange[] high = [.. arenas.Ram.High.Select(piece => piece.ToRange())];
        return new RamPlacement(new GuestAddress(arenas.HoleStart), low.FirstOrDefault(), high.Length == 0
            ? new AddressRange(new GuestAddress(PlatformLimits.FourGiB), 0) : high[0])
        {
            LowPieces = low,
            HighPieces = high,
            Registers = arenas.Ram.Registers(),
            LowHoleEnd = holeEnd,
        };
    }

    private List<Extent>[] Windows(ArenaKind kind, Topology topology) => HostWindows.Share(_arenas[kind], _tree.Root(kind), topology.Hosts.Count);

    private static AddressRange[] Ranges(List<Extent> windows) => [.. windows.Select(window => window.ToRange())];

    private FunctionPlacement[] Functions(IReadOnlyList<FunctionNode> nodes)
    {
        FunctionPlacement[] placed = new FunctionPlacement[nodes.Count];
        for (int index = 0; index < placed.Length; index++)
        {
            placed[index] = Function(nodes[index]);
        }

        return placed;
    }

    private FunctionPlacement Function(FunctionNode node)
    {
        NodeBlocks blocks = _tree.Blocks[node.Order];
        Bdf address = new((ushort)(node.Bus << 8 | node.Demand.DeviceFunction));
        BarPlacement[] bars = blocks.Bars.Length == 0 ? [] : new BarPlacement[blocks.Bars.Length];
        for (int index = 0; index < bars.Length; index++)
        {
            BarBlock bar = blocks.Bars[index];
            bars[index] = new BarPlacement(bar.Spec.Demand, bar.Placed.ToRange(), _reasons.Of(bar)) { Size = bar.Spec.Unit };
        }

        return new FunctionPlacement(
            node.Demand,
            address,
            bars,
            node.Demand.Bridge is null ? null : new BridgePlacement
            {
                Primary = node.Bus,
                Secondary = node.Secondary,
                Subordinate = node.Subordinate,
                Io = blocks.Io?.Placed.ToRange(),
                Memory = blocks.Memory?.Placed.ToRange(),
                Prefetchable = blocks.Prefetchable?.Placed.ToRange(),
                Functions = Functions(node.Children),
            });
    }
}
