namespace Aperture.Memory;

/// <summary>
/// The accesses dispatched to the regions of one name, each thread's in a cell of its own (<see cref="AccessCell"/>), summed when asked. They outlive the
/// regions: what leaves the map keeps its sums, and what comes back under the same name goes on counting.
/// </summary>
internal sealed class AccessCounts(string name)
{
    private readonly ThreadSlots<AccessCell> _cells = new();

    /// <summary>The regions' name.</summary>
    public string Name => name;

    /// <summary>The calling thread's cell.</summary>
    public AccessCell Mine => _cells.Mine;

    /// <summary>Reads so far.</summary>
    public ulong Reads => _cells.Sum(static cell => Volatile.Read(ref cell.Reads));

    /// <summary>Writes so far.</summary>
    public ulong Writes => _cells.Sum(static cell => Volatile.Read(ref cell.Writes));
}

/// <summary>How often a region was accessed through a dispatcher: exits of vCPUs, and device DMA that was aimed at it when it is not RAM.</summary>
/// <param name="Name">The region's name; regions of one name count together.</param>
/// <param name="Reads">Reads, in naturally aligned pieces as handlers see them.</param>
/// <param name="Writes">Writes, likewise.</param>
public readonly record struct RegionCount(string Name, ulong Reads, ulong Writes);
