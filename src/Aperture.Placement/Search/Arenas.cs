using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>The platform for one position of the low hole: how RAM is split, and what that leaves.</summary>
internal sealed class Arenas
{
    // REMAPBASE and REMAPLIMIT count in 64 MiB, so a hole that is moved away from its usual start moves in such steps
    // (Intel 3 Series datasheet, REMAPBASE).
    public const ulong HoleStep = 64UL << 20;

    // TOLUD counts in 1 MiB: no platform ends low RAM more finely (Intel 3 Series datasheet, TOLUD).
    public const ulong FinestStep = 1UL << 20;
    private const ulong WindowGranule = 1UL << 20;
    private const ulong HighGranule = 1UL << 30;

    private Arenas(Ground ground, ulong holeStart, ulong automaticStart, IReadOnlyList<Extent?> ecams, IReadOnlyList<Extent> pinned)
    {
        HoleStart = holeStart;
        Ecams = ecams;
        Ram = RamSplit.Make(ground, holeStart, pinned.Concat(ecams.Where(ecam => ecam is not null).Select(ecam => ecam!.Value)));
        Obstacle[] memory = Merge(ground);
        Io = MakeIo(ground);
        Low = MakeLow(ground, holeStart, automaticStart, memory);
        High = MakeHigh(ground, Ram.HighEnd, memory);
    }

    public ulong HoleStart { get; }

    public RamSplit Ram { get; }

    /// <summary>The ECAM range of each segment; null where it has none, or none yet.</summary>
    public IReadOnlyList<Extent?> Ecams { get; }

    public Arena Io { get; }

    public Arena Low { get; }

    public Arena High { get; }

    public Arena this[ArenaKind kind] => kind switch
    {
        ArenaKind.Io => Io,
        ArenaKind.Low => Low,
        _ => High,
    };

    /// <summary>The end of the physical address space.</summary>
    public static ulong SpaceEnd(PlatformLimits platform) => 1UL << platform.PhysicalAddressBits;

    /// <summary>How low the hole may start: RAM below is the guest's in any case. Address 0 is never PCI's.</summary>
    public static ulong LowestHoleStart(PlatformLimits platform) => platform.RamBase.Value > 0
        ? platform.LowRamFloor
        : Math.Min(platform.LowRamFloor, Align.Up(Math.Clamp(platform.RamSize, WindowGranule, platform.LowRamFloor), WindowGranule));

    /// <summary>
    /// The candidates for where automatic 32-bit placement starts: the ceiling, then ever lower, which takes RAM from below the hole and gives it
    /// back above 4 GiB. A compact hole starts from the top. Starts that leave less than <paramref name="needed"/> are left out.
    /// </summary>
    public static IEnumerable<ulong> AutomaticStarts(Ground ground, UInt128 needed)
    {
        PlatformLimits platform = ground.Platform;
        bool compact = platform.Hole == LowHole.Compact && platform.Mmio32Window is null;
        ulong usual = platform.LowRamCeiling;
        if (!compact)
        {
            yield return usual;
        }

        if (platform.Mmio32Window is not null || ground.SetWindows(ArenaKind.Low).All(windows => windows is not null))
        {
            if (compact)
            {
                yield return usual;
            }

            yield break;
        }

        ulong start = Align.Down((compact ? platform.Mmio32End.Value : usual) - 1, HoleStep);
        for (ulong lowest = LowestHoleStart(platform); start >= lowest && start >= HoleStep; start -= HoleStep)
        {
            if (start + needed <= platform.Mmio32End.Value || start - HoleStep < lowest || start == HoleStep)
            {
                yield return start;
            }
        }
    }

    /// <summary>
    /// Makes the arenas for automatic placement from <paramref name="automaticStart"/> and for pins from <paramref name="lowestPin"/>, for which the
    /// hole starts at a multiple of <paramref name="step"/>; RAM keeps out of <paramref name="pinned"/>.
    /// </summary>
    public static Arenas Build(
        Ground ground, ulong automaticStart, ulong lowestPin, IReadOnlyList<Extent?> ecams, IReadOnlyList<Extent> pinned, ulong step = HoleStep)
    {
        ulong lowest = Math.Min(lowestPin, ground.Platform.Mmio32Window?.Start.Value ?? lowestPin);
        foreach (Extent[]? windows in ground.SetWindows(ArenaKind.Low))
        {
            lowest = windows is { Length: > 0 } ? Math.Min(lowest, windows[0].Start) : lowest;
        }

        ulong holeStart = lowest >= automaticStart ? automaticStart : Math.Max(Align.Down(lowest, step), ground.LowestHoleStart);
        return new Arenas(ground, holeStart, automaticStart, ecams, pinned);
    }

    /// <summary>Reserved memory with RAM and ECAM, sorted by start.</summary>
    private Obstacle[] Merge(Ground ground)
    {
        List<Obstacle> extra = [.. Ram.Low.Concat(Ram.High).Select(piece => new Obstacle(piece, "guest RAM"))];
        for (int segment = 0; segment < Ecams.Count; segment++)
        {
            if (Ecams[segment] is { } ecam)
            {
                extra.Add(new Obstacle(ecam, ground.EcamName(segment)));
            }
        }

        Obstacle[] all = [.. ground.Memory, .. extra];

        // Stable for the part that is sorted already, and nearly linear on it.
        Array.Sort(all, (left, right) => left.Extent.Start != right.Extent.Start
            ? left.Extent.Start.CompareTo(right.Extent.Start) : string.CompareOrdinal(left.Origin, right.Origin));
        return all;
    }

    private static Arena MakeIo(Ground ground)
    {
        IEnumerable<Extent> windows = ground.Platform.IoWindows.Select(Extent.Of);
        return new Arena(ArenaKind.Io, windows, true, windows, ground.Io, ground.SetWindows(ArenaKind.Io));
    }

    private static Arena MakeLow(Ground ground, ulong holeStart, ulong automaticStart, Obstacle[] obstacles)
    {
        Extent[]?[] set = ground.SetWindows(ArenaKind.Low);
        if (ground.Platform.Mmio32Window is { } window)
        {
            return new Arena(ArenaKind.Low, [Extent.Of(window)], true, [Extent.Of(window)], obstacles, set);
        }

        Extent automatic = new(automaticStart, ground.Platform.Mmio32End.Value);
        return new Arena(
            ArenaKind.Low, [new Extent(holeStart, PlatformLimits.FourGiB)], false, automatic.IsEmpty ? [] : [automatic], obstacles, set);
    }

    private static Arena MakeHigh(Ground ground, ulong ramEnd, Obstacle[] obstacles)
    {
        Extent[]?[] set = ground.SetWindows(ArenaKind.High);
        if (ground.Platform.Mmio64Window is { } window)
        {
            return new Arena(ArenaKind.High, [Extent.Of(window)], true, [Extent.Of(window)], obstacles, set);
        }

        ulong end = ground.SpaceEnd;
        Extent whole = new(PlatformLimits.FourGiB, end);
        Extent automatic = new(Align.Up(Math.Max(ground.Platform.Mmio64Start.Value, ramEnd), HighGranule), end);
        return new Arena(ArenaKind.High, whole.IsEmpty ? [] : [whole], false, automatic.IsEmpty ? [] : [automatic], obstacles, set);
    }
}
