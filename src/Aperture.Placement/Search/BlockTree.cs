using Aperture.Pci;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>The demands as blocks, sorted into the three address spaces under one set of choices.</summary>
internal sealed class BlockTree
{
    private readonly Choices _choices;
    private readonly IReadOnlyDictionary<BarSpec, PinFault> _ignoredPins;
    private readonly List<Block> _io = [];
    private readonly List<Block> _low = [];
    private readonly List<Block> _high = [];

    /// <summary>Builds the tree. The pins in <paramref name="ignoredPins"/> are known to be impossible.</summary>
    public BlockTree(Topology topology, Choices choices, IReadOnlyDictionary<BarSpec, PinFault> ignoredPins)
    {
        _choices = choices;
        _ignoredPins = ignoredPins;
        Blocks = new NodeBlocks[topology.All.Count];
        foreach (FunctionNode node in topology.OnRoot)
        {
            AddOnRoot(node);
        }

        Mark(_io, ArenaKind.Io);
        Mark(_low, ArenaKind.Low);
        Mark(_high, ArenaKind.High);
    }

    /// <summary>Each function's blocks, by the function's order.</summary>
    public NodeBlocks[] Blocks { get; }

    public IEnumerable<BarBlock> Bars => Blocks.SelectMany(blocks => blocks.Bars);

    /// <summary>What lies on any root bus in an address space.</summary>
    public IReadOnlyList<Block> Root(ArenaKind kind) => kind switch
    {
        ArenaKind.Io => _io,
        ArenaKind.Low => _low,
        _ => _high,
    };

    private static void Mark(List<Block> blocks, ArenaKind kind)
    {
        foreach (Block block in blocks)
        {
            block.RootArena = kind;
        }
    }

    private void AddOnRoot(FunctionNode node)
    {
        NodeBlocks blocks = Open(node);
        foreach (BarBlock block in blocks.Bars)
        {
            BarSpec bar = block.Spec;
            bool high = bar.Kind.Is64Bit() && (bar.Pin is { } pin ? pin.Value >= PlatformLimits.FourGiB : _choices.GoesHigh(bar));
            (bar.Kind == BarKind.Io ? _io : high ? _high : _low).Add(block);
        }

        if (node.Demand.Bridge is not null)
        {
            PrefetchPlan plan = _choices[node];
            AddWindows(blocks, node, plan, _io, _low, plan == PrefetchPlan.High ? _high : _low);
        }
    }

    private void AddBehind(FunctionNode node, PrefetchPlan plan, BridgeDemand above, List<Block> io, List<Block> memory, List<Block> prefetchable)
    {
        NodeBlocks blocks = Open(node);
        foreach (BarBlock block in blocks.Bars)
        {
            (block.Spec.Kind == BarKind.Io ? io : UsesPrefetchable(block.Spec, plan, above) ? prefetchable : memory).Add(block);
        }

        if (node.Demand.Bridge is not { } bridge)
        {
            return;
        }

        // A prefetchable window that is low lies in the memory window above when the prefetchable one above is high.
        bool apart = bridge.PrefetchableWindow is { } pin
            ? plan == PrefetchPlan.High && pin.Start.Value < PlatformLimits.FourGiB && above.PrefetchableWindow?.Contains(pin) != true
            : IsSentLow(node, plan);
        AddWindows(blocks, node, plan, io, memory, apart ? memory : prefetchable);
    }

    private void AddWindows(NodeBlocks blocks, FunctionNode node, PrefetchPlan plan, List<Block> io, List<Block> memory, List<Block> prefetchable)
    {
        BridgeDemand bridge = node.Demand.Bridge!;
        PrefetchPlan inner = bridge.PrefetchableWindow is not { } pin ? IsSentLow(node, plan) ? PrefetchPlan.LowPrefetchable : plan
            : pin.Start.Value >= PlatformLimits.FourGiB ? PrefetchPlan.High : PrefetchPlan.LowPrefetchable;
        List<Block> ioInside = [];
        List<Block> memoryInside = [];
        List<Block> prefetchableInside = [];
        foreach (FunctionNode child in node.Children)
        {
            AddBehind(child, inner, bridge, ioInside, memoryInside, prefetchableInside);
        }

        HotplugReserve? reserve = bridge.Reserve;
        blocks.Io = Window(node, WindowKind.Io, ioInside, io, bridge.IoWindow, reserve?.Io ?? 0);
        blocks.Memory = Window(node, WindowKind.Memory, memoryInside, memory, bridge.MemoryWindow, reserve?.Memory ?? 0);
        blocks.Prefetchable = Window(node, WindowKind.Prefetchable, prefetchableInside, prefetchable, bridge.PrefetchableWindow, reserve?.Prefetchable ?? 0);
    }

    private bool IsSentLow(FunctionNode port, PrefetchPlan plan) => plan == PrefetchPlan.High && _choices.IsSentLow(port);

    private static WindowBlock? Window(FunctionNode node, WindowKind kind, List<Block> inside, List<Block> outer, AddressRange? pin, ulong reserve)
    {
        if (inside.Count == 0 && pin is null && reserve == 0)
        {
            return null;
        }

        WindowBlock window = new(node, kind, inside, pin, reserve);
        outer.Add(window);
        return window;
    }

    /// <summary>A non-prefetchable BAR never goes into a prefetchable window, and a 32-bit one only when that window is low anyway.</summary>
    private bool UsesPrefetchable(BarSpec bar, PrefetchPlan plan, BridgeDemand above)
    {
        if (!bar.Kind.IsPrefetchable() || (above.PrefetchableWindow is { } window && bar.Pin is { } at && !window.Contains(at)))
        {
            return false;
        }

        return plan == PrefetchPlan.High
            ? bar.Kind == BarKind.Memory64Prefetchable && (bar.Pin is { } pin ? pin.Value >= PlatformLimits.FourGiB : !_choices.IsSentLow(bar))
            : plan == PrefetchPlan.LowPrefetchable;
    }

    private NodeBlocks Open(FunctionNode node)
    {
        BarSpec[] specs = Array.Exists(node.Bars, bar => bar.LeftOut) ? [.. node.Bars.Where(bar => !bar.LeftOut)] : node.Bars;
        BarBlock[] bars = specs.Length == 0 ? [] : new BarBlock[specs.Length];
        for (int index = 0; index < bars.Length; index++)
        {
            BarSpec bar = specs[index];
            bars[index] = new BarBlock(bar, bar.Pin is not null && _ignoredPins.ContainsKey(bar));
        }

        return Blocks[node.Order] = new NodeBlocks(bars);
    }
}

/// <summary>The blocks that one function brings: its BARs by index, and its windows when it is a bridge with content.</summary>
internal sealed class NodeBlocks(BarBlock[] bars)
{
    public BarBlock[] Bars { get; } = bars;

    public WindowBlock? Io { get; set; }

    public WindowBlock? Memory { get; set; }

    public WindowBlock? Prefetchable { get; set; }
}
