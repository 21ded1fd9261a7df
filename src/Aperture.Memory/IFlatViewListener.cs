namespace Aperture.Memory;

/// <summary>Applies a new view to something outside: memory slots, ioeventfds, IOMMU mappings.</summary>
public interface IFlatViewListener
{
    /// <summary>
    /// Goes from <paramref name="old"/> to <paramref name="next"/>. Called with the space's change lock held, one change at a time, after
    /// <paramref name="next"/> became what lookups see, so a range that cannot be applied keeps trapping and is still answered. Must not change the space.
    /// </summary>
    /// <exception cref="ApertureException">The host failed in a way that the guest cannot go on with. Everything else must still have been applied.</exception>
    void Commit(FlatView old, FlatView next, FlatViewDiff diff);
}
