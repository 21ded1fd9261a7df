using Aperture.Pci;

namespace Aperture.Placement;

/// <summary>The demands as blocks, sorted into the three address spaces under one set of choices.</summary>
internal sealed class BlockTree
{
    private readonly Choices _choices;
    private readonly IReadOnlySet<(FunctionNode Node, int Index)> _ignoredPins;
    private readonly List<Block> _io = [];
    private readonly List<Block> _low = [];
    private readonly List<Block> _high = [];

    /// <summary>Builds the tree. The pins in <paramref name="ignoredPins"/> are known to be impossible.</summary>
    public BlockTree(Topology topology, Choices choices, IReadOnlySet<(FunctionNode Node, int Index)> ignoredPins)
    {
        _choices = choices;
        _ignoredPins = ignoredPins;
        Blocks = new NodeBlocks[topology.All.Count];
        foreach (FunctionNode node in topology.Root)
        {
            AddOnRoot(node);
        }
    }

    /// <summary>Each function's blocks, by the function's order.</summary>
    public NodeBlocks[] Blocks { get; }

    public IEnumerable<BarBlock> Bars => Blocks.SelectMany(blocks => blocks.Bars);

    /// <summary>What lies on the root bus in an address space.</summary>
    public IReadOnlyList<Block> Root(ArenaKind kind) => kind switch
    {
        ArenaKind.Io => _io,
        ArenaKind.Low => _low,
        _ => _high,
    };

    /// <summary>The address space a block is in: that of the tree it hangs from.</summary>
    public static ArenaKind ArenaOf(BarBlock bar, BlockTree tree)
    {
        Block top = bar;
        while (top.Parent is { } parent)
        {
            top = parent;
        }

        return top is BarBlock { Demand.Kind: BarKind.Io } or WindowBlock { Kind: WindowKind.Io } ? ArenaKind.Io
            : tree._high.Contains(top) ? ArenaKind.High : ArenaKind.Low;
    }

    private void AddOnRoot(FunctionNode node)
    {
        NodeBlocks blocks = Open(node);
        foreach (BarBlock bar in blocks.Bars)
        {
            BarDemand demand = bar.Demand;
            bool high = demand.Kind.Is64Bit() && (demand.Pin is { } pin ? pin.Value >= PlatformLimits.FourGiB : _choices.GoesHigh(node, demand));
            (demand.Kind == BarKind.Io ? _io : high ? _high : _low).Add(bar);
        }

        if (node.Demand.Bridge is not null)
        {
            PrefetchPlan plan = _choices[node];
            AddWindows(blocks, node, plan, _io, _low, plan == PrefetchPlan.High ? _high : _low);
        }
    }

    private void AddBehind(FunctionNode node, PrefetchPlan plan, List<Block> io, List<Block> memory, List<Block> prefetchable)
    {
        NodeBlocks blocks = Open(node);
        foreach (BarBlock bar in blocks.Bars)
        {
            (bar.Demand.Kind == BarKind.Io ? io : UsesPrefetchable(bar.Demand, plan) ? prefetchable : memory).Add(bar);
        }

        if (node.Demand.Bridge is not null)
        {
            AddWindows(blocks, node, plan, io, memory, prefetchable);
        }
    }

    private void AddWindows(NodeBlocks blocks, FunctionNode node, PrefetchPlan plan, List<Block> io, List<Block> memory, List<Block> prefetchable)
    {
        List<Block> ioInside = [];
        List<Block> memoryInside = [];
        List<Block> prefetchableInside = [];
        foreach (FunctionNode child in node.Children)
        {
            AddBehind(child, plan, ioInside, memoryInside, prefetchableInside);
        }

        blocks.Io = Window(node, WindowKind.Io, ioInside, io);
        blocks.Memory = Window(node, WindowKind.Memory, memoryInside, memory);
        blocks.Prefetchable = Window(node, WindowKind.Prefetchable, prefetchableInside, prefetchable);
    }

    private static WindowBlock? Window(FunctionNode node, WindowKind kind, List<Block> inside, List<Block> outer)
    {
        if (inside.Count == 0)
        {
            return null;
        }

        WindowBlock window = new(node, kind, inside);
        outer.Add(window);
        return window;
    }

    /// <summary>A non-prefetchable BAR never goes into a prefetchable window, and a 32-bit one only when that window is low anyway.</summary>
    private static bool UsesPrefetchable(BarDemand bar, PrefetchPlan plan) => bar.Kind switch
    {
        BarKind.Memory32Prefetchable => plan == PrefetchPlan.LowPrefetchable,
        BarKind.Memory64Prefetchable when plan == PrefetchPlan.High => bar.Pin is not { } pin || pin.Value >= PlatformLimits.FourGiB,
        BarKind.Memory64Prefetchable => plan == PrefetchPlan.LowPrefetchable,
        _ => false,
    };

    private NodeBlocks Open(FunctionNode node) =>
        Blocks[node.Order] = new NodeBlocks([.. node.Demand.Bars.OrderBy(bar => bar.Index).Select(bar => new BarBlock(node, bar, _ignoredPins.Contains((node, bar.Index))))]);
}

/// <summary>The blocks that one function brings: its BARs by index, and its windows when it is a bridge with content.</summary>
internal sealed class NodeBlocks(IReadOnlyList<BarBlock> bars)
{
    public IReadOnlyList<BarBlock> Bars { get; } = bars;

    public WindowBlock? Io { get; set; }

    public WindowBlock? Memory { get; set; }

    public WindowBlock? Prefetchable { get; set; }
}
