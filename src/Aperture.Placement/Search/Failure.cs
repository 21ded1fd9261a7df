namespace Aperture.Placement.Search;

/// <summary>A block that found no room.</summary>
/// <param name="Block">What was being placed.</param>
/// <param name="Inside">The pinned window it had to fit into, or null when a whole arena was open to it.</param>
/// <param name="Room">What was free for it and for all that was placed together with it.</param>
/// <param name="Asked">Bytes that it and all placed together with it need.</param>
internal sealed record Failure(Block Block, WindowBlock? Inside, FreeSpace Room, UInt128 Asked)
{
    /// <summary>All that finds no room when everything is placed that does, where only plain BARs on a root bus were to be placed; else empty.</summary>
    public IReadOnlyList<Block> Left { get; init; } = [];
}
