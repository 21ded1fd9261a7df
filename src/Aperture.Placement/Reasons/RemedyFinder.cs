using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.Placement.Search;

namespace Aperture.Placement.Reasons;

/// <summary>
/// Finds the smallest change that resolves a conflict: a short list of changes for each kind of conflict, smallest first, each tried out. What is
/// named was seen to work.
/// </summary>
internal sealed class RemedyFinder
{
    private const int MostConflicts = 8;
    private const int MostTrials = 64;
    private const int MostFunctions = 2_000;
    private const int WidestTried = 52;
    private const ulong GiB = 1UL << 30;

    private readonly PlacementRequest _request;
    private readonly Func<PlacementRequest, PlacementResult> _solve;
    private int _trials = MostTrials;

    private RemedyFinder(PlacementRequest request, Func<PlacementRequest, PlacementResult> solve) => (_request, _solve) = (request, solve);

    /// <summary>The conflicts with remedies where there are any.</summary>
    public static IReadOnlyList<PlacementConflict> Attach(
        PlacementRequest request, IReadOnlyList<PlacementConflict> conflicts, Func<PlacementRequest, PlacementResult> solve)
    {
        if (Functions(request.HostBridges.SelectMany(host => host.Functions)).Take(MostFunctions + 1).Count() > MostFunctions)
        {
            return conflicts;
        }

        RemedyFinder finder = new(request, solve);
        return [.. conflicts.Select((conflict, index) => index < MostConflicts && finder.Find(conflict) is { } remedy ? With(conflict, remedy) : conflict)];
    }

    private static PlacementConflict With(PlacementConflict conflict, Remedy remedy) => conflict with
    {
        Remedy = remedy,
        Sentence = conflict.NearestAbove is null && conflict.NearestBelow is null ? $"{conflict.Sentence}; it would fit with {remedy.Text}" : conflict.Sentence,
    };

    private Remedy? Find(PlacementConflict conflict)
    {
        IEnumerable<Remedy> candidates = conflict.Kind switch
        {
            PlacementConflictKind.NoSpace or PlacementConflictKind.NotFound => ForRoom(conflict),
            PlacementConflictKind.BadLimit => ForLimit(conflict),
            PlacementConflictKind.AboveAddressBits when conflict.Demand.Range is null => WiderOnes(),
            PlacementConflictKind.BusNumbers => [.. Vfs(conflict.Demand.Function), .. Reserves(), .. Bridges()],
            PlacementConflictKind.BadDemand or PlacementConflictKind.NotPowerOfTwo or PlacementConflictKind.Unsupported => [],
            _ when conflict.Demand.Bar is not null => ForPin(conflict),
            _ => Bridges(),
        };
        return candidates.FirstOrDefault(remedy => Resolves(conflict, remedy));
    }

    /// <summary>True when the change leaves a map, or at least no conflict about the same demand.</summary>
    private bool Resolves(PlacementConflict conflict, Remedy remedy)
    {
        if (_trials-- <= 0)
        {
            return false;
        }

        PlacementResult result = _solve(_request.Apply(remedy));
        return result.Map is not null
            || (conflict.Demand.Bar is not null && result.Conflicts.All(
                other => other.Demand.Name != conflict.Demand.Name && other.Kind is not (PlacementConflictKind.BadLimit or PlacementConflictKind.BadDemand)));
    }

    private IEnumerable<Remedy> ForPin(PlacementConflict conflict)
    {
        string function = conflict.Demand.Function!;
        int bar = conflict.Demand.Bar!.Value;
        if (conflict.Kind == PlacementConflictKind.AboveAddressBits && conflict.Demand.Range is { } wanted)
        {
            int bits = 64 - System.Numerics.BitOperations.LeadingZeroCount(wanted.Last.Value);
            if (bits <= PlatformLimits.MaxAddressBits)
            {
                yield return Wider(bits);
            }
        }

        if (conflict.Kind == PlacementConflictKind.OutOfWindow && conflict.Demand.Range is { } outside)
        {
            foreach (Remedy window in Reaching(outside))
            {
                yield return window;
            }
        }

        foreach (AddressRange place in Nearest(conflict))
        {
            yield return new Remedy(
                RemedyKind.MovePin, $"{function} {BarIndex.Name(bar)} at {place.Start}")
            {
                Function = function,
                Bar = bar,
                Value = place.Start.Value,
            };
        }

        yield return new Remedy(RemedyKind.DropPin, $"{function} {BarIndex.Name(bar)} not pinned") { Function = function, Bar = bar };
    }

    private static IEnumerable<AddressRange> Nearest(PlacementConflict conflict)
    {
        ulong asked = conflict.Demand.Range?.Start.Value ?? 0;
        return new[] { conflict.NearestAbove, conflict.NearestBelow }
            .Where(place => place is not null).Select(place => place!.Value)
            .OrderBy(place => place.Start.Value > asked ? place.Start.Value - asked : asked - place.Start.Value);
    }

    /// <summary>The set window, stretched over a pin.</summary>
    private IEnumerable<Remedy> Reaching(AddressRange pin)
    {
        bool high = pin.Start.Value >= PlatformLimits.FourGiB;
        if ((high ? _request.Platform.Mmio64Window : _request.Platform.Mmio32Window) is { } window)
        {
            Extent both = Extent.Of(window).Union(Extent.Of(pin)).Outward(1UL << 20);
            yield return Window(high, both);
        }
    }

    private IEnumerable<Remedy> ForRoom(PlacementConflict conflict)
    {
        if (conflict.Demand.Function is { } function && Find(function) is { } demand)
        {
            foreach (Remedy remedy in Sizes(demand, conflict.Demand.Bar).Concat(BarIndex.IsVf(conflict.Demand.Bar ?? -1) ? Vfs(function) : []))
            {
                yield return remedy;
            }
        }

        PlatformLimits platform = _request.Platform;
        foreach (Remedy remedy in Larger(false, platform.Mmio32Window).Concat(Larger(true, platform.Mmio64Window)))
        {
            yield return remedy;
        }

        for (ulong start = platform.LowRamFloor / 2; platform.Mmio32Window is null && platform.RamBase.Value == 0 && start >= 1UL << 26; start /= 2)
        {
            yield return new Remedy(RemedyKind.LowHole, $"a low hole from 0x{start:x}") { Value = start };
        }

        foreach (Remedy remedy in WiderOnes().Concat(Reserves()).Concat(Bridges()))
        {
            yield return remedy;
        }
    }

    private IEnumerable<Remedy> ForLimit(PlacementConflict conflict)
    {
        PlatformLimits platform = _request.Platform;
        if (platform.Mmio64Window is { } window && conflict.Demand.Range == window && conflict.Obstacle?.Range is { } ram)
        {
            ulong start = Align.Up(ram.Last.Value, GiB);
            ulong end = Math.Min(Arenas.SpaceEnd(platform), start + Math.Min(window.Size, 1UL << platform.PhysicalAddressBits));
            if (start < end)
            {
                yield return Window(true, new Extent(start, end));
            }
        }

        if (conflict.Demand.Name == "guest RAM")
        {
            foreach (Remedy remedy in WiderOnes())
            {
                yield return remedy;
            }

            for (ulong size = platform.RamSize / 8 * 7; size >= platform.LowRamFloor; size = size / 8 * 7)
            {
                ulong round = Math.Max(Align.Down(size, GiB), platform.LowRamFloor);
                yield return new Remedy(RemedyKind.LessRam, $"{ByteSize.Format(round)} of RAM") { Value = round };
            }
        }
    }

    /// <summary>A set window grown upward and then downward, by doubling.</summary>
    private IEnumerable<Remedy> Larger(bool high, AddressRange? window)
    {
        if (window is not { } set)
        {
            yield break;
        }

        PlatformLimits platform = _request.Platform;
        (ulong floor, ulong end) = high ? (PlatformLimits.FourGiB, Arenas.SpaceEnd(platform)) : (Arenas.LowestHoleStart(platform), PlatformLimits.FourGiB);
        for (ulong size = set.Size; size < end - floor; size *= 2)
        {
            ulong grown = size * 2;
            if (end - set.Start.Value >= grown)
            {
                yield return Window(high, Extent.Sized(set.Start.Value, grown));
            }

            ulong last = set.Last.Value + 1;
            if (last - floor >= grown)
            {
                yield return Window(high, new Extent(last - grown, last));
            }
        }
    }

    private static Remedy Window(bool high, Extent extent) =>
        new(high ? RemedyKind.Window64 : RemedyKind.Window32, $"a {(high ? "64" : "32")}-bit memory window of {extent}") { Range = extent.ToRange() };

    private static Remedy Wider(int bits) => new(RemedyKind.WiderAddress, $"{bits} physical address bits") { Value = (ulong)bits };

    private IEnumerable<Remedy> WiderOnes()
    {
        for (int bits = _request.Platform.PhysicalAddressBits + 1; bits <= WidestTried; bits++)
        {
            yield return Wider(bits);
        }
    }

    private static IEnumerable<Remedy> Sizes(FunctionDemand function, int? index) =>
        from bar in function.Bars
        where bar.Index == index && !bar.LargestThatFits
        from size in bar.ResizableSizes.Where(size => size < bar.Size).Distinct().OrderDescending()
        select new Remedy(RemedyKind.SmallerBar, $"{function.Name} {BarIndex.Name(bar.Index)} of {ByteSize.Format(size)}")
        {
            Function = function.Name,
            Bar = bar.Index,
            Value = size,
        };

    /// <summary>Fewer VFs: the most that work, found by halving the distance; a single candidate, since finding it is the trial.</summary>
    private IEnumerable<Remedy> Vfs(string? name)
    {
        if (name is null || Find(name)?.Sriov is not { TotalVfs: > 1 } sriov)
        {
            yield break;
        }

        int works = 0;
        int low = 1;
        int high = sriov.TotalVfs - 1;
        while (low <= high && _trials-- > 0)
        {
            int middle = (low + high) / 2;
            bool fits = _solve(_request.Apply(Fewer(name, middle))).Map is not null;
            (works, low, high) = fits ? (middle, middle + 1, high) : (works, low, middle - 1);
        }

        if (works > 0)
        {
            yield return Fewer(name, works);
        }
    }

    private static Remedy Fewer(string name, int count) =>
        new(RemedyKind.FewerVfs, $"{count} VFs of {name}") { Function = name, Value = (ulong)count };

    private IEnumerable<Remedy> Reserves() =>
        Functions(_request.HostBridges.SelectMany(host => host.Functions)).Any(function => function.Bridge?.Reserve is not null)
            ? [new Remedy(RemedyKind.NoReserves, "no hotplug reserves")] : [];

    private IEnumerable<Remedy> Bridges() =>
        Functions(_request.HostBridges.SelectMany(host => host.Functions)).Any(function => function.Bridge is
        { SecondaryBus: not null } or { SubordinateBus: not null } or { IoWindow: not null } or { MemoryWindow: not null } or { PrefetchableWindow: not null })
            ? [new Remedy(RemedyKind.FreeBridges, "no pinned bus numbers and bridge windows")] : [];

    private FunctionDemand? Find(string name) =>
        Functions(_request.HostBridges.SelectMany(host => host.Functions)).FirstOrDefault(function => function.Name == name);

    private static IEnumerable<FunctionDemand> Functions(IEnumerable<FunctionDemand> roots)
    {
        Stack<FunctionDemand> open = new(roots);
        while (open.TryPop(out FunctionDemand? function))
        {
            yield return function;
            foreach (FunctionDemand child in function.Bridge?.Functions ?? [])
            {
                open.Push(child);
            }
        }
    }
}
