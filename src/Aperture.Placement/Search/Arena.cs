using Aperture.Placement.Map;

namespace Aperture.Placement.Search;

/// <summary>One of the three address spaces things are placed in, as a certain RAM split leaves it.</summary>
internal sealed class Arena
{
    private readonly Extent[]?[] _set;
    private readonly bool _anySet;
    private readonly ulong[] _reach;

    public Arena(ArenaKind kind, IEnumerable<Extent> bounds, bool boundsAreSet, IEnumerable<Extent> automatic, IReadOnlyList<Obstacle> obstacles,
        Extent[]?[] set)
    {
        Kind = kind;
        Bounds = [.. bounds];
        Extent[] windows = [.. automatic];
        WindowStart = windows.Length == 0 ? 0 : windows.Min(window => window.Start);
        BoundsAreSet = boundsAreSet;
        Obstacles = obstacles;
        _set = set;
        _anySet = set.Any(windows => windows is not null);
        _reach = Reach(obstacles);
        IEnumerable<Extent> taken = obstacles.Select(obstacle => obstacle.Extent);
        Legal = new FreeSpace(Bounds, taken);
        Automatic = new FreeSpace(windows, taken);
    }

    public ArenaKind Kind { get; }

    /// <summary>Where pins may lie when their host bridge has no windows of its own, taken ranges included.</summary>
    public IReadOnlyList<Extent> Bounds { get; }

    /// <summary>True when the user or the board set the bounds, so that a pin outside breaks a promise rather than a fact.</summary>
    public bool BoundsAreSet { get; }

    /// <summary>Where automatic placement starts, taken ranges included.</summary>
    public ulong WindowStart { get; }

    /// <summary>What is taken: RAM, ECAM and reserved ranges; sorted by start.</summary>
    public IReadOnlyList<Obstacle> Obstacles { get; }

    /// <summary>Free for pins, and for what pins drag along, whichever host bridge they hang from.</summary>
    public FreeSpace Legal { get; }

    /// <summary>Free for everything that the solver places by itself; part of <see cref="Legal"/>.</summary>
    public FreeSpace Automatic { get; }

    public string Name => Kind switch
    {
        ArenaKind.Io => "the I/O window",
        ArenaKind.Low => "the 32-bit memory window",
        _ => "the 64-bit memory window",
    };

    /// <summary>All windows that the user set for any host bridge.</summary>
    public IEnumerable<Extent> SetWindows => _set.SelectMany(windows => windows ?? []);

    /// <summary>True when the user set windows for this host bridge.</summary>
    public bool IsSet(int host) => _set[host] is not null;

    /// <summary>Where pins below a host bridge may lie, taken ranges included.</summary>
    public IReadOnlyList<Extent> BoundsOf(int host) => _set[host] ?? Bounds;

    /// <summary>The bounds as text: <c>0xc0000000-0xfebfffff</c>, several with <c>and</c>.</summary>
    public string BoundsText(int host) => string.Join(" and ", BoundsOf(host));

    /// <summary>A copy of what is free for pins below a host bridge.</summary>
    public FreeSpace LegalOf(int host) => Of(host, Legal);

    /// <summary>A copy of what is free for automatic placement below a host bridge.</summary>
    public FreeSpace AutomaticOf(int host) => Of(host, Automatic);

    /// <summary>The first taken range in the way of <paramref name="extent"/>, or null.</summary>
    public Obstacle? Blocking(Extent extent)
    {
        int index = Array.BinarySearch(_reach, extent.Start);
        for (index = index < 0 ? ~index : index + 1; index < Obstacles.Count && Obstacles[index].Extent.Start < extent.End; index++)
        {
            if (Obstacles[index].Extent.Overlaps(extent))
            {
                return Obstacles[index];
            }
        }

        return null;
    }

    private FreeSpace Of(int host, FreeSpace shared)
    {
        if (_set[host] is { } own)
        {
            return new FreeSpace(own, Obstacles.Select(obstacle => obstacle.Extent));
        }

        return _anySet
            ? new FreeSpace(shared.Spans, _set.SelectMany(windows => windows ?? []).OrderBy(window => window.Start))
            : shared.Clone();
    }

    /// <summary>How far the obstacles up to each one reach; ascending, strictly enough for a binary search from any of equals.</summary>
    private static ulong[] Reach(IReadOnlyList<Obstacle> obstacles)
    {
        ulong[] reach = new ulong[obstacles.Count];
        ulong far = 0;
        for (int index = 0; index < reach.Length; index++)
        {
            reach[index] = far = Math.Max(far, obstacles[index].Extent.End);
        }

        return reach;
    }
}

/// <summary>A taken range.</summary>
internal sealed record Obstacle(Extent Extent, string Origin)
{
    public ConflictParty Party => new(Origin, Extent.ToRange());
}

/// <summary>The address spaces: ports, memory below 4 GiB, memory from 4 GiB up.</summary>
internal enum ArenaKind
{
    Io,
    Low,
    High,
}
