namespace Aperture.Placement;

/// <summary>Turns a settled tree into the public map.</summary>
internal sealed class MapBuilder
{
    private readonly BlockTree _tree;
    private readonly ReasonFinder _reasons;

    private MapBuilder(BlockTree tree, Arenas arenas)
    {
        _tree = tree;
        _reasons = new ReasonFinder(tree, arenas);
    }

    public static PlacementMap Build(Topology topology, BlockTree tree, Arenas arenas)
    {
        MapBuilder builder = new(tree, arenas);
        HostBridgeDemand demand = topology.HostBridge;
        return new PlacementMap
        {
            Ram = new RamPlacement(new GuestAddress(arenas.HoleStart), arenas.LowRam.ToRange(), arenas.HighRam.ToRange())
            {
                LowPieces = [arenas.LowRam.ToRange()],
                HighPieces = arenas.HighRam.IsEmpty ? [] : [arenas.HighRam.ToRange()],
                Registers = new MemoryRegisters(default, default, default, default, default),
            },
            Metrics = new LayoutMetrics(0, 0, default, 0, 0, default),
            Ecams = [],
            Ecam = arenas.Ecam?.ToRange(),
            HostBridges =
            [
                new HostBridgePlacement
                {
                    Name = demand.Name,
                    Segment = demand.Segment,
                    FirstBus = demand.FirstBus,
                    LastBus = demand.LastBus,
                    IoWindows = builder.Windows(arenas.Io),
                    Mmio32Windows = builder.Windows(arenas.Low),
                    Mmio64Windows = builder.Windows(arenas.High),
                    Functions = builder.Functions(topology.Root),
                },
            ],
        };
    }

    /// <summary>What is open for automatic placement, and the pinned things outside of it.</summary>
    private List<AddressRange> Windows(Arena arena) =>
        [.. new FreeSpace(arena.Automatic.Spans.Concat(_tree.Root(arena.Kind).Select(block => block.Placed))).Spans.Select(span => span.ToRange())];

    private List<FunctionPlacement> Functions(IReadOnlyList<FunctionNode> nodes) => [.. nodes.Select(Function)];

    private FunctionPlacement Function(FunctionNode node)
    {
        NodeBlocks blocks = _tree.Blocks[node.Order];
        Bdf address = new((ushort)(node.Bus << 8 | node.Demand.DeviceFunction));
        return new FunctionPlacement(
            node.Demand,
            address,
            [.. blocks.Bars.Select(bar => new BarPlacement(bar.Demand, bar.Placed.ToRange(), _reasons.Of(bar)) { Size = bar.Demand.Size })],
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
