namespace Aperture.Memory;

/// <summary>Where writes can be collected outside this process.</summary>
public interface IPostedWriteBackend
{
    /// <summary>Collects writes to <paramref name="range"/> from now on, or does not: then each comes by itself.</summary>
    void Add(AddressRange range);

    /// <summary>Ends that for the same range.</summary>
    void Remove(AddressRange range);
}

/// <summary>Has writes to <see cref="Region.IsPosted"/> regions collected exactly where they are in the view.</summary>
public sealed class PostedWriteListener(IPostedWriteBackend backend) : IFlatViewListener
{
    /// <inheritdoc/>
    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        ArgumentNullException.ThrowIfNull(diff);
        foreach (FlatRange gone in diff.Removed)
        {
            if (gone.Region.IsPosted)
            {
                backend.Remove(gone.Range);
            }
        }

        foreach (FlatRange come in diff.Added)
        {
            if (come.Region.IsPosted)
            {
                backend.Add(come.Range);
            }
        }
    }
}
