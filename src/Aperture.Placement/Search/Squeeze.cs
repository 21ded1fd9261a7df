using Aperture.Pci;
using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>
/// The last resort when the usual places leave no room: RAM may end at any MiB below the hole, everything may lie wherever a pin may, and each BAR
/// behind a bridge goes high or low by itself. Less below 4 GiB is never harder to place there, and a later start of the hole never leaves less room
/// above; so for each choice of what goes low the latest start where that fits is the one to try.
/// </summary>
internal sealed class Squeeze
{
    // Looking for a start halves the distance; each step is one packing of what is low.
    private const int StepsOfAStart = 12;

    // Beyond these, the choices near the top of the search are never taken back within any budget.
    private const int MostTriedAtOnce = 8;

    private readonly Ground _ground;
    private readonly Topology _topology;
    private readonly SearchBudget _budget;
    private readonly ulong _lowest;
    private readonly ulong _highest;

    private Squeeze(Ground ground, Topology topology, SearchBudget budget)
    {
        _ground = ground;
        _topology = topology;
        _budget = budget;
        (_lowest, _highest) = Starts(ground);
    }

    /// <summary>A settled layout, or null; the flag says that there provably is none.</summary>
    public static (Outcome? Found, bool NoneExists) Run(Ground ground, Topology topology, SearchBudget budget)
    {
        Squeeze squeeze = new(ground, topology, budget);
        if (topology.HasBridges)
        {
            return (squeeze.Behind([], [], squeeze._highest), false);
        }

        (Outcome? found, bool ended) = squeeze.OnRoot();
        bool natural = topology.Bars.All(bar => bar.Count == 1) && ground.Ecams.All(ecam => ecam is null or { Pin: not null });
        return (found, found is null && ended && natural);
    }

    /// <summary>The lowest and the highest start of the automatic 32-bit space; the same one where windows are set.</summary>
    public static (ulong Lowest, ulong Highest) Starts(Ground ground)
    {
        PlatformLimits platform = ground.Platform;
        ulong usual = platform.LowRamCeiling;
        if (platform.Mmio32Window is not null || ground.SetWindows(ArenaKind.Low).All(windows => windows is not null))
        {
            return (usual, usual);
        }

        ulong highest = platform.Hole == LowHole.Compact ? Align.Down(platform.Mmio32End.Value, Arenas.FinestStep) : usual;
        return (Math.Min(ground.LowestHoleStart, highest), highest);
    }

    /// <summary>
    /// Without bridges: high first at each start, which is complete for naturally aligned powers of two. What then is too much below 4 GiB stays too much
    /// until the start where it fits, since a lower start only sends more down; so the search goes on right there. The flag says that it came to its end.
    /// </summary>
    private (Outcome? Found, bool Ended) OnRoot()
    {
        for (ulong start = _highest; ;)
        {
            if (!_budget.TrySqueeze(_topology.All.Count * StepsOfAStart))
            {
                return (null, false);
            }

            Outcome outcome = Attempt.Run(_ground, _topology, start, _budget, everywhere: true);
            if (outcome.Tree is not null)
            {
                return (outcome, true);
            }

            if (!outcome.LowerMayHelp || start == _lowest || Latest(start - Arenas.FinestStep, outcome.SentLow) is not { } next)
            {
                return (null, true);
            }

            start = next;
        }
    }

    /// <summary>With bridges: all high that may be, then ever more below 4 GiB, going back within the budget.</summary>
    private Outcome? Behind(List<Movable> low, HashSet<Movable> never, ulong highest)
    {
        if (!_budget.TrySqueeze(_topology.All.Count * StepsOfAStart) || Latest(highest, low) is not { } start)
        {
            return null;
        }

        Outcome outcome = Attempt.Run(_ground, _topology, start, _budget, low);
        if (outcome.Tree is not null)
        {
            return outcome;
        }

        if (outcome.Failure is not { } failure || outcome.FailedIn != ArenaKind.High)
        {
            return null;
        }

        UInt128 room = failure.Room.Total;
        ulong missing = (ulong)UInt128.Min(failure.Asked > room ? failure.Asked - room : 1, 1UL << 62);
        List<Movable> tried = [];
        Outcome? found = null;
        foreach (List<Movable> more in Candidates(missing, [.. Movables().Except(low).Except(never)]))
        {
            found = Behind([.. low, .. more], never, start);
            if (found is not null || _budget.SqueezeUsedUp)
            {
                break;
            }

            tried.AddRange(more.Where(never.Add));
        }

        never.ExceptWith(tried);
        return found;
    }

    /// <summary>What to send down next: just enough, then less than that by falling size; where no single one is enough, many at once.</summary>
    private static IEnumerable<List<Movable>> Candidates(ulong missing, List<Movable> items)
    {
        List<Movable> enough = [.. items.Where(item => item.Size >= missing).OrderBy(item => item.Size)];
        List<Movable> less = [.. items.Where(item => item.Size < missing).OrderByDescending(item => item.Size)];
        List<Movable> batch = [];
        ulong sum = 0;
        foreach (Movable item in enough.Count == 0 ? less : [])
        {
            if (sum < missing)
            {
                batch.Add(item);
                sum += item.Size;
            }
        }

        IEnumerable<List<Movable>> single = enough.Concat(less).DistinctBy(item => (item.Size, (item.Port ?? item.Bar!.Node).Top))
            .Take(MostTriedAtOnce).Select(item => new List<Movable> { item });
        return batch.Count > 1 && sum >= missing ? single.Prepend(batch) : single;
    }

    private IEnumerable<Movable> Movables()
    {
        foreach (FunctionNode node in _topology.All)
        {
            if (node is { Parent: not null, Demand.Bridge: { PrefetchableWindow: null, Reserve.Prefetchable: > 0 } bridge } && !HoldsHighPins(node))
            {
                yield return new Movable(null, node, bridge.Reserve.Prefetchable);
            }

            foreach (BarSpec bar in node.Bars)
            {
                bool mayGoHigh = bar.Kind == BarKind.Memory64Prefetchable || (bar.Kind == BarKind.Memory64 && node.Parent is null);
                if (mayGoHigh && bar.Pin is null && bar.Size < PlatformLimits.FourGiB)
                {
                    yield return new Movable(bar, null, bar.Size);
                }
            }
        }
    }

    private static bool HoldsHighPins(FunctionNode port) => port.Children.Any(child =>
        child.Demand.Bridge?.PrefetchableWindow?.Start.Value >= PlatformLimits.FourGiB
        || child.Bars.Any(bar => bar.Kind == BarKind.Memory64Prefetchable && bar.Pin?.Value >= PlatformLimits.FourGiB)
        || HoldsHighPins(child));

    /// <summary>The latest start up to <paramref name="highest"/> where all that is low fits; null when there is none.</summary>
    private ulong? Latest(ulong highest, IReadOnlyList<Movable> low)
    {
        if (Fits(highest, low))
        {
            return highest;
        }

        ulong works = _lowest;
        ulong fails = highest;
        if (highest <= _lowest || !Fits(_lowest, low))
        {
            return null;
        }

        while (fails - works > Arenas.FinestStep)
        {
            ulong middle = Align.Down(works + (fails - works) / 2, Arenas.FinestStep);
            (works, fails) = Fits(middle, low) ? (middle, fails) : (works, middle);
        }

        return works;
    }

    private bool Fits(ulong start, IReadOnlyList<Movable> low) => Attempt.LowFits(_ground, _topology, start, _budget, low);
}
