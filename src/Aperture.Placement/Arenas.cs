namespace Aperture.Placement;

/// <summary>The platform for one position of the low hole: how RAM is split, and what that leaves.</summary>
internal sealed class Arenas
{
    // REMAPBASE and REMAPLIMIT count in 64 MiB, so a hole that is moved away from its usual start moves in such steps
    // (Intel 3 Series datasheet, REMAPBASE).
    private const ulong HoleStep = 64UL << 20;
    private const ulong WindowGranule = 1UL << 20;
    private const ulong IoEnd = 0x1_0000;
    private const ulong HighGranule = 1UL << 30;

    private Arenas(PlatformLimits platform, ulong holeStart, ulong automaticStart, Extent? ecam)
    {
        ulong low = Math.Min(platform.RamSize, holeStart);
        HoleStart = holeStart;
        Ecam = ecam;
        LowRam = new Extent(0, low);
        HighRam = Extent.Sized(PlatformLimits.FourGiB, platform.RamSize - low);
        Obstacle[] memory =
        [
            .. platform.Reserved.Select(reserved => new Obstacle(Clip(reserved.Range, SpaceEnd(platform)), reserved.Origin)),
            new(LowRam, "guest RAM"),
            new(HighRam, "guest RAM"),
            new(ecam ?? default, "the ECAM range"),
        ];
        Io = MakeIo(platform);
        Low = MakeLow(platform, holeStart, automaticStart, memory);
        High = MakeHigh(platform, HighRam.End, memory);
    }

    public ulong HoleStart { get; }

    public Extent LowRam { get; }

    public Extent HighRam { get; }

    public Extent? Ecam { get; }

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
    public static ulong LowestHoleStart(PlatformLimits platform) =>
        Math.Min(platform.LowRamFloor, Align.Up(Math.Clamp(platform.RamSize, WindowGranule, platform.LowRamFloor), WindowGranule));

    /// <summary>The candidates for where automatic 32-bit placement starts: the ceiling, then ever lower, which takes RAM from below the hole and gives it back above 4 GiB.</summary>
    public static IEnumerable<ulong> AutomaticStarts(PlatformLimits platform)
    {
        yield return platform.LowRamCeiling;
        if (platform.Mmio32Window is not null)
        {
            yield break;
        }

        ulong start = Align.Down(platform.LowRamCeiling - 1, HoleStep);
        for (ulong lowest = LowestHoleStart(platform); start >= lowest && start >= HoleStep; start -= HoleStep)
        {
            yield return start;
        }
    }

    /// <summary>Makes the arenas for automatic placement from <paramref name="automaticStart"/> and for pins from <paramref name="lowestPin"/>.</summary>
    public static Arenas Build(PlatformLimits platform, ulong automaticStart, ulong lowestPin, Extent? ecam)
    {
        ulong lowest = Math.Min(lowestPin, platform.Mmio32Window?.Start.Value ?? lowestPin);
        ulong holeStart = lowest >= automaticStart ? automaticStart : Math.Max(Align.Down(lowest, HoleStep), LowestHoleStart(platform));
        return new Arenas(platform, holeStart, automaticStart, ecam);
    }

    /// <summary>The part below <paramref name="end"/>; a reserved range may reach up to the last of 2^64 addresses.</summary>
    private static Extent Clip(AddressRange range, ulong end) =>
        range.IsEmpty || range.Start.Value >= end ? default : new Extent(range.Start.Value, Math.Min(range.Last.Value, end - 1) + 1);

    private static Arena MakeIo(PlatformLimits platform)
    {
        IEnumerable<Extent> windows = platform.IoWindows.Select(Extent.Of);
        return new Arena(
            ArenaKind.Io, windows, true, windows, platform.ReservedIo.Select(reserved => new Obstacle(Clip(reserved.Range, IoEnd), reserved.Origin)));
    }

    private static Arena MakeLow(PlatformLimits platform, ulong holeStart, ulong automaticStart, IEnumerable<Obstacle> obstacles)
    {
        if (platform.Mmio32Window is { } window)
        {
            return new Arena(ArenaKind.Low, [Extent.Of(window)], true, [Extent.Of(window)], obstacles);
        }

        return new Arena(
            ArenaKind.Low, [new Extent(holeStart, PlatformLimits.FourGiB)], false, [new Extent(automaticStart, platform.Mmio32End.Value)], obstacles);
    }

    private static Arena MakeHigh(PlatformLimits platform, ulong ramEnd, IEnumerable<Obstacle> obstacles)
    {
        if (platform.Mmio64Window is { } window)
        {
            return new Arena(ArenaKind.High, [Extent.Of(window)], true, [Extent.Of(window)], obstacles);
        }

        ulong end = SpaceEnd(platform);
        Extent whole = new(PlatformLimits.FourGiB, end);
        Extent automatic = new(Align.Up(Math.Max(PlatformLimits.FourGiB, ramEnd), HighGranule), end);
        return new Arena(ArenaKind.High, whole.IsEmpty ? [] : [whole], false, automatic.IsEmpty ? [] : [automatic], obstacles);
    }
}
