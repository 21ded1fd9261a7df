namespace Aperture.Placement;

/// <summary>Finds a place for an ECAM range that nobody pinned.</summary>
internal static class EcamPlacer
{
    /// <summary>The lowest aligned place in the automatic 32-bit space that pins leave; else in all of the hole, the user's window last.</summary>
    public static Extent? Find(EcamDemand ecam, Arenas arenas, PlatformLimits platform, IReadOnlyList<Block> root)
    {
        Shape shape = new(ecam.Size, ecam.Size, 0, []);
        Extent window = platform.Mmio32Window is { } set ? Extent.Of(set) : default;
        FreeSpace hole = new([new Extent(arenas.HoleStart, platform.Mmio32End.Value)]);
        foreach (Extent taken in arenas.Low.Obstacles.Select(obstacle => obstacle.Extent).Concat(root.Select(block => block.Forced)))
        {
            hole.Remove(taken);
        }

        FreeSpace beside = hole.Clone();
        beside.Remove(window);
        return beside.TryFirst(platform.LowRamCeiling, shape, out ulong start)
            || beside.TryFirst(0, shape, out start)
            || hole.TryFirst(0, shape, out start)
            ? Extent.Sized(start, ecam.Size)
            : null;
    }
}
