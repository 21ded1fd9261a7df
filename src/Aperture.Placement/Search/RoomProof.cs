using Aperture.Pci;
using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>
/// Tells "impossible" from "not found": bounds that no layout can escape, wherever the hole starts. They hold for everything that a pin could reach, so a
/// refusal that is called proven has no map that pins would show.
/// </summary>
internal sealed class RoomProof
{
    private readonly Ground _ground;
    private readonly Topology _topology;
    private readonly List<BarSpec> _floating;
    private readonly List<Extent> _pinned;

    private RoomProof(Ground ground, Topology topology, bool io)
    {
        _ground = ground;
        _topology = topology;
        List<BarSpec> bars = [.. topology.Bars.Where(bar => bar.Kind == BarKind.Io == io && !bar.LeftOut)];
        _floating = [.. bars.Where(bar => bar.Pin is null)];
        _pinned = [.. bars.Where(bar => bar.Pin is not null).Select(bar => Extent.Sized(bar.Pin!.Value.Value, bar.Size)).OrderBy(extent => extent.Start)];
    }

    /// <summary>True when a BAR fits nowhere by itself, or what must share a space is more than what is free in it.</summary>
    public static bool NoneExists(Ground ground, Topology topology, ArenaKind failed)
    {
        // RAM that yields to low pins leaves slivers that this account knows nothing of.
        if (failed != ArenaKind.Io && ground.Platform.RamBase.Value > 0 && HoldsRam(ground.Platform.RamBase.Value, topology))
        {
            return false;
        }

        RoomProof proof = new(ground, topology, failed == ArenaKind.Io);
        return failed == ArenaKind.Io ? proof.NoPorts() : proof.NoMemory();
    }

    private static bool HoldsRam(ulong start, Topology topology) =>
        topology.Bars.Any(bar => bar.Kind != BarKind.Io && bar.Pin is { Value: < PlatformLimits.FourGiB } pin && pin.Value + bar.Size > start)
        || topology.All.Any(node => node.Demand.Bridge is { MemoryWindow: not null } or { PrefetchableWindow: not null });

    private bool NoPorts()
    {
        FreeSpace free = Free(Build(_ground.Platform.LowRamCeiling).Io);
        return _floating.Exists(bar => !Fits(bar, free, ArenaKind.Io)) || LeastOnRoot(WindowKind.Io, _floating) > free.Total;
    }

    private bool NoMemory()
    {
        (ulong lowest, ulong highest) = Squeeze.Starts(_ground);
        Arenas most = Build(LowestWithRam(lowest, highest));
        FreeSpace low = Free(most.Low);
        FreeSpace high = Free(Build(highest).High);
        bool FitsHigh(BarSpec bar) => MayGoHigh(bar) && Fits(bar, high, ArenaKind.High);
        List<BarSpec> lowOnly = [.. _floating.Where(bar => !FitsHigh(bar))];
        if (_floating.Exists(bar => !Fits(bar, low, ArenaKind.Low) && !FitsHigh(bar)) || LeastOnRoot(WindowKind.Memory, lowOnly) > low.Total)
        {
            return true;
        }

        // What the hole gains from RAM the space above 4 GiB loses, but for what RAM shares with the board.
        UInt128 shared = 0;
        foreach (Obstacle obstacle in _ground.Memory)
        {
            Extent extent = obstacle.Extent;
            shared += extent.Start < highest ? Math.Min(extent.End, highest) - extent.Start : 0;
        }

        UInt128 asked = _floating.Aggregate((UInt128)0, (sum, bar) => sum + bar.Size);
        return asked > (UInt128)low.Total + Free(most.High).Total + shared;
    }

    /// <summary>The lowest start of the hole that leaves all RAM a place.</summary>
    private ulong LowestWithRam(ulong lowest, ulong highest)
    {
        ulong works = highest;
        ulong fails = lowest - Arenas.FinestStep;
        while (works - fails > Arenas.FinestStep)
        {
            ulong middle = Align.Up(fails + (works - fails) / 2, Arenas.FinestStep);
            (works, fails) = Build(middle).Ram.Missing == 0 ? (middle, fails) : (works, middle);
        }

        return works;
    }

    private Arenas Build(ulong start)
    {
        Extent?[] ecams = [.. _ground.Ecams.Select(ecam => ecam is { Pin: { } pin } ? Extent.Sized(pin.Value, ecam.Size) : (Extent?)null)];
        ulong pins = _pinned.Select(extent => extent.Start).Concat(ecams.Select(ecam => ecam?.Start ?? ulong.MaxValue))
            .Append(WindowPins.Lowest(_topology, _ground.LowestHoleStart)).Where(at => at >= _ground.LowestHoleStart).DefaultIfEmpty(ulong.MaxValue).Min();
        List<Extent> high = [.. _pinned.Where(extent => extent.End > PlatformLimits.FourGiB)];
        return Arenas.Build(_ground, start, pins, ecams, high, Arenas.FinestStep);
    }

    /// <summary>What any host bridge may use.</summary>
    private FreeSpace Free(Arena arena) =>
        new(new FreeSpace(arena.Bounds.Concat(arena.SetWindows), arena.Obstacles.Select(obstacle => obstacle.Extent)).Spans, _pinned);

    private static bool MayGoHigh(BarSpec bar) => bar.Kind == BarKind.Memory64Prefetchable || (bar.Kind == BarKind.Memory64 && bar.Node.Parent is null);

    /// <summary>True when a BAR has a place by itself, inside what is pinned of the windows above it.</summary>
    private static bool Fits(BarSpec bar, FreeSpace free, ArenaKind kind)
    {
        Shape shape = new(bar.Size, bar.Unit, 0, []);
        return Reach(bar, kind).Any(reach => (reach is { } window ? Inside(free, window) : free).TryFirst(1, shape, out _));
    }

    private static FreeSpace Inside(FreeSpace free, Extent window) =>
        new(free.Spans.Select(span => new Extent(Math.Max(span.Start, window.Start), Math.Min(span.End, window.End))));

    /// <summary>The windows that may forward to a BAR where the bridge right above has them pinned; null for anywhere.</summary>
    private static IEnumerable<Extent?> Reach(BarSpec bar, ArenaKind kind)
    {
        if (bar.Node.Parent?.Demand.Bridge is not { } bridge)
        {
            return [null];
        }

        AddressRange?[] windows = kind == ArenaKind.Io ? [bridge.IoWindow]
            : kind == ArenaKind.High ? [bridge.PrefetchableWindow]
            : bar.Kind.IsPrefetchable() ? [bridge.MemoryWindow, bridge.PrefetchableWindow] : [bridge.MemoryWindow];
        return windows.Select(window => window is { } range ? Extent.Of(range) : (Extent?)null);
    }

    /// <summary>The least that BARs take on the root buses: whole units of a window behind each bridge there, which windows of others do not share.</summary>
    private static UInt128 LeastOnRoot(WindowKind kind, List<BarSpec> bars)
    {
        UInt128 unit = WindowBlock.GranuleOf(kind);
        UInt128 sum = 0;
        foreach (IGrouping<FunctionNode, BarSpec> group in bars.GroupBy(bar => bar.Node.Top))
        {
            FunctionNode top = group.Key;
            UInt128 behind = group.Where(bar => bar.Node != top).Aggregate((UInt128)0, (total, bar) => total + bar.Size);
            sum += group.Where(bar => bar.Node == top).Aggregate((UInt128)0, (total, bar) => total + bar.Size);
            sum += Whole(top, kind) ? (behind + unit - 1) / unit * unit : behind;
        }

        return sum;
    }

    /// <summary>True when nothing below a root bridge is pinned in windows of a kind, so that a pinned BAR's unit is not counted twice.</summary>
    private static bool Whole(FunctionNode top, WindowKind kind) => top.Demand.Bridge is { IoWindow: null, MemoryWindow: null, PrefetchableWindow: null }
        && top.Children.All(child => child.Bars.All(bar => bar.Pin is null || bar.Kind == BarKind.Io != (kind == WindowKind.Io))
            && (child.Demand.Bridge is null || Whole(child, kind)));
}
