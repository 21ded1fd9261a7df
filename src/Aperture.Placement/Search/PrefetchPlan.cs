using Aperture.Pci;
using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>Where the prefetchable BARs below one bridge on the root bus go.</summary>
internal enum PrefetchPlan
{
    /// <summary>64-bit ones high through prefetchable windows; those pinned low and 32-bit ones into the memory windows.</summary>
    High,

    /// <summary>All below 4 GiB, through prefetchable windows.</summary>
    LowPrefetchable,

    /// <summary>All below 4 GiB, through the memory windows.</summary>
    LowMemory,
}

/// <summary>
/// What may go to either side of 4 GiB by itself: an unpinned 64-bit BAR, or the prefetchable window that a port below another bridge keeps for hotplug.
/// </summary>
internal readonly record struct Movable(BarSpec? Bar, FunctionNode? Port, ulong Size);

/// <summary>
/// The choices that an attempt has made so far. A prefetchable window is 64-bit only as a whole (PCI-to-PCI Bridge 1.2, 3.2.5.9), so
/// the choice is one for each bridge on the root bus. It only ever moves on to the next possibility, which bounds the search.
/// </summary>
internal sealed class Choices
{
    private readonly Dictionary<FunctionNode, Queue<PrefetchPlan>> _plans = [];
    private readonly HashSet<BarSpec> _sentLow;
    private readonly HashSet<FunctionNode> _portsLow;
    private readonly bool _highExists;

    /// <summary>The first possibility everywhere, but for what is in <paramref name="low"/> already.</summary>
    public Choices(Topology topology, bool highExists, IReadOnlyList<Movable>? low = null)
    {
        _highExists = highExists;
        _sentLow = [.. (low ?? []).Select(item => item.Bar).OfType<BarSpec>()];
        _portsLow = [.. (low ?? []).Select(item => item.Port).OfType<FunctionNode>()];
        foreach (FunctionNode node in topology.OnRoot.Where(node => node.Demand.Bridge is not null))
        {
            _plans.Add(node, new Queue<PrefetchPlan>(Possible(node)));
        }
    }

    public PrefetchPlan this[FunctionNode top] => _plans[top].Peek();

    /// <summary>Tries the next plan for the bridge above <paramref name="node"/>; false when there is none.</summary>
    public bool Advance(FunctionNode node)
    {
        if (!_plans.TryGetValue(node.Top, out Queue<PrefetchPlan>? plans) || plans.Count == 1)
        {
            return false;
        }

        plans.Dequeue();
        return true;
    }

    /// <summary>Takes what found no room above 4 GiB down; false when it must stay high.</summary>
    public bool SendLow(Block block) => block switch
    {
        WindowBlock window => window.Floats && Advance(window.Node),
        BarBlock { Parent: null } bar => _sentLow.Add(bar.Spec),
        _ => false,
    };

    /// <summary>Takes several down at once, <paramref name="first"/> among them; false when it must stay high.</summary>
    public bool SendLow(IReadOnlyList<Block> all, Block first)
    {
        foreach (Block block in all.Where(block => block != first))
        {
            SendLow(block);
        }

        return SendLow(first);
    }

    /// <summary>Which side of 4 GiB an unpinned 64-bit BAR on the root bus goes to.</summary>
    public bool GoesHigh(BarSpec bar) => _highExists && !_sentLow.Contains(bar);

    /// <summary>True for a BAR that goes below 4 GiB whatever the plan of its root bridge is.</summary>
    public bool IsSentLow(BarSpec bar) => _sentLow.Contains(bar);

    /// <summary>True for a port below another bridge whose prefetchable window goes below 4 GiB whatever the plan of its root bridge is.</summary>
    public bool IsSentLow(FunctionNode port) => _portsLow.Contains(port);

    /// <summary>The BARs on root buses that went low because they found no room above 4 GiB.</summary>
    public IReadOnlyList<Movable> SentLow => [.. _sentLow.Select(bar => new Movable(bar, null, bar.Size))];

    private List<PrefetchPlan> Possible(FunctionNode top)
    {
        if (top.Demand.Bridge!.PrefetchableWindow is { } set)
        {
            return [set.Start.Value >= PlatformLimits.FourGiB ? PrefetchPlan.High : PrefetchPlan.LowPrefetchable];
        }

        Content content = new();
        content.Add(top);

        // With nothing to send high, the first plan is "all in the memory windows" already.
        return (content.Any, content.Floats, content.PinnedHigh) switch
        {
            (false, _, _) or (_, _, true) => [PrefetchPlan.High],
            (_, false, _) => [PrefetchPlan.High, PrefetchPlan.LowPrefetchable],
            _ when _highExists => [PrefetchPlan.High, PrefetchPlan.LowPrefetchable, PrefetchPlan.LowMemory],
            _ => [PrefetchPlan.LowPrefetchable, PrefetchPlan.LowMemory],
        };
    }

    /// <summary>What lies behind a bridge, as far as the choice depends on it.</summary>
    private sealed class Content
    {
        public bool Any { get; private set; }

        public bool Floats { get; private set; }

        public bool PinnedHigh { get; private set; }

        public void Add(FunctionNode bridge)
        {
            bool reserves = bridge.Demand.Bridge?.Reserve is { Prefetchable: > 0 };
            Any |= reserves;
            Floats |= reserves;
            PinnedHigh |= bridge.Demand.Bridge?.PrefetchableWindow?.Start.Value >= PlatformLimits.FourGiB;
            foreach (FunctionNode child in bridge.Children)
            {
                foreach (BarSpec bar in child.Bars)
                {
                    if (bar.Kind.IsPrefetchable())
                    {
                        Any = true;
                        Floats |= bar.Kind.Is64Bit() && bar.Pin is null;
                        PinnedHigh |= bar.Kind.Is64Bit() && bar.Pin?.Value >= PlatformLimits.FourGiB;
                    }
                }

                Add(child);
            }
        }
    }
}
