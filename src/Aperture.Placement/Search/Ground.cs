using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>What stays the same in every attempt: the platform's ranges, sorted once, and the windows and segments of the host bridges.</summary>
internal sealed class Ground
{
    private const ulong IoEnd = 0x1_0000;

    // What hosts forward for VGA and old ROMs below 1 MiB is never a BAR's place.
    private const ulong LegacyEnd = 1UL << 20;

    // A segment with an ECAM range of its own whose size nobody gave gets all 256 buses.
    private const ulong WholeEcam = 256UL << 20;

    private readonly Extent[]?[][] _set;

    public Ground(PlatformLimits platform, IReadOnlyList<HostBridgeDemand> hosts)
    {
        Platform = platform;
        Hosts = hosts;
        SpaceEnd = 1UL << platform.PhysicalAddressBits;
        Memory = Sorted(platform.Reserved, SpaceEnd);
        Io = Sorted(platform.ReservedIo, IoEnd);
        RamAvoids = [.. Sorted(platform.Reserved.Where(reserved => reserved.RamAvoids), SpaceEnd).Select(obstacle => obstacle.Extent)];
        _set =
        [
            [.. hosts.Select(host => Extents(host.IoWindows, 0))],
            [.. hosts.Select(host => Extents(host.Mmio32Windows, LegacyEnd))],
            [.. hosts.Select(host => Extents(host.Mmio64Windows, 0))],
        ];
        Segments = [.. hosts.Select(host => host.Segment).Distinct()];
        Ecams = [.. Segments.Select((segment, index) => platform.Ecam is not { } first ? null
            : index == 0 ? first : platform.SegmentEcams.TryGetValue(segment, out EcamDemand? listed) ? listed : new EcamDemand(WholeEcam, null))];
    }

    public PlatformLimits Platform { get; }

    public IReadOnlyList<HostBridgeDemand> Hosts { get; }

    /// <summary>The end of the physical address space.</summary>
    public ulong SpaceEnd { get; }

    /// <summary>Reserved memory, sorted by start.</summary>
    public Obstacle[] Memory { get; }

    /// <summary>Reserved ports, sorted by start.</summary>
    public Obstacle[] Io { get; }

    /// <summary>Reserved memory that RAM keeps out of, sorted by start.</summary>
    public Extent[] RamAvoids { get; }

    /// <summary>The segments, that of the first host bridge first.</summary>
    public IReadOnlyList<uint> Segments { get; }

    /// <summary>What each segment asks for as ECAM; null without.</summary>
    public IReadOnlyList<EcamDemand?> Ecams { get; }

    /// <summary>The windows that the user set for each host bridge; null where nothing is set.</summary>
    public Extent[]?[] SetWindows(ArenaKind kind) => _set[(int)kind];

    public string EcamName(int segment) => segment == 0 ? "the ECAM range" : $"the ECAM range of segment {Segments[segment]}";

    /// <summary>How low the hole may start: RAM below is the guest's in any case. Address 0 is never PCI's.</summary>
    public ulong LowestHoleStart => Arenas.LowestHoleStart(Platform);

    private static Obstacle[] Sorted(IEnumerable<ReservedRange> ranges, ulong end) =>
    [
        .. ranges.Select(reserved => new Obstacle(Clip(reserved.Range, end), reserved.Origin))
            .Where(obstacle => !obstacle.Extent.IsEmpty)
            .OrderBy(obstacle => obstacle.Extent.Start).ThenBy(obstacle => obstacle.Origin, StringComparer.Ordinal),
    ];

    /// <summary>The part below <paramref name="end"/>; a reserved range may reach up to the last of 2^64 addresses.</summary>
    private static Extent Clip(AddressRange range, ulong end) =>
        range.IsEmpty || range.Start.Value >= end ? default : new Extent(range.Start.Value, Math.Min(range.Last.Value, end - 1) + 1);

    private static Extent[]? Extents(IReadOnlyList<AddressRange>? windows, ulong above) =>
        windows is null ? null
            : [.. new FreeSpace(windows.Select(Extent.Of).Select(extent => extent with { Start = Math.Max(extent.Start, above) })
                .Where(extent => !extent.IsEmpty)).Spans];
}
