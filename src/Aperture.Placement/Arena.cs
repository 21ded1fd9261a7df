namespace Aperture.Placement;

/// <summary>One of the three address spaces things are placed in, as a certain RAM split leaves it.</summary>
internal sealed class Arena
{
    public Arena(ArenaKind kind, IEnumerable<Extent> bounds, bool boundsAreSet, IEnumerable<Extent> automatic, IEnumerable<Obstacle> obstacles)
    {
        Kind = kind;
        Bounds = [.. bounds];
        Extent[] windows = [.. automatic];
        WindowStart = windows.Length == 0 ? 0 : windows.Min(window => window.Start);
        BoundsAreSet = boundsAreSet;
        Obstacles = [.. obstacles.Where(obstacle => !obstacle.Extent.IsEmpty).OrderBy(obstacle => obstacle.Extent.Start).ThenBy(obstacle => obstacle.Origin, StringComparer.Ordinal)];
        Legal = new FreeSpace(Bounds);
        Automatic = new FreeSpace(windows);
        foreach (Obstacle obstacle in Obstacles)
        {
            Legal.Remove(obstacle.Extent);
            Automatic.Remove(obstacle.Extent);
        }
    }

    public ArenaKind Kind { get; }

    /// <summary>Where pins may lie, taken ranges included.</summary>
    public IReadOnlyList<Extent> Bounds { get; }

    /// <summary>True when the user or the board set the bounds, so that a pin outside breaks a promise rather than a fact.</summary>
    public bool BoundsAreSet { get; }

    /// <summary>Where automatic placement starts, taken ranges included.</summary>
    public ulong WindowStart { get; }

    /// <summary>What is taken: RAM, ECAM and reserved ranges; sorted by start.</summary>
    public IReadOnlyList<Obstacle> Obstacles { get; }

    /// <summary>Free for pins, and for what pins drag along.</summary>
    public FreeSpace Legal { get; }

    /// <summary>Free for everything that the solver places by itself; part of <see cref="Legal"/>.</summary>
    public FreeSpace Automatic { get; }

    public string Name => Kind switch
    {
        ArenaKind.Io => "the I/O window",
        ArenaKind.Low => "the 32-bit memory window",
        _ => "the 64-bit memory window",
    };

    /// <summary>The bounds as text: <c>0xc0000000-0xfebfffff</c>, several with <c>and</c>.</summary>
    public string BoundsText => string.Join(" and ", Bounds);

    /// <summary>The first taken range in the way of <paramref name="extent"/>, or null.</summary>
    public Obstacle? Blocking(Extent extent) => Obstacles.FirstOrDefault(obstacle => obstacle.Extent.Overlaps(extent));
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
