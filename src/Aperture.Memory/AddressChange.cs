namespace Aperture.Memory;

/// <summary>
/// Several placements and removals that take effect together. Used on the thread that opened it, in a <c>using</c> block:
/// dropped without <see cref="Commit"/> it changes nothing.
/// </summary>
public sealed class AddressChange : IDisposable
{
    private readonly AddressSpace _space;

    // Where each region that was edited is to be, or null for nowhere. Made by the first edit: most changes that a guest's configuration write opens turn out
    // to change nothing.
    private Dictionary<Region, Placement?>? _edits;

    // Blocks of memory whose regions were placed and removed, once for each; null while there are none.
    private List<RamBlock>? _placedBlocks;
    private List<RamBlock>? _removedBlocks;
    private bool _ended;
    private bool _disposed;

    internal AddressChange(AddressSpace space) => _space = space;

    /// <summary>Places a region. Where placements overlap the higher <paramref name="priority"/> wins, and of equals the newest.</summary>
    /// <exception cref="ApertureException">The region would lie outside the space.</exception>
    /// <exception cref="InvalidOperationException">The region is already placed in this space.</exception>
    public void Place(Region region, GuestAddress address, int priority)
    {
        if (!TryPlace(region, address, priority))
        {
            throw new ApertureException(
                $"{region.Name}: 0x{region.Size:x} bytes at {address} do not fit into the {_space.Name} addresses {_space.Limits}");
        }
    }

    /// <summary>The same for an address that the guest chose: false, and nothing placed, when the region would lie outside the space.</summary>
    /// <exception cref="InvalidOperationException">The region is already placed in this space.</exception>
    public bool TryPlace(Region region, GuestAddress address, int priority)
    {
        ArgumentNullException.ThrowIfNull(region);
        CheckOpen();
        if (Find(region) is not null)
        {
            throw new InvalidOperationException($"{region.Name} is already placed in {_space.Name}");
        }

        if (!AddressRange.Fits(address, region.Size) || !_space.Limits.Contains(new AddressRange(address, region.Size)))
        {
            return false;
        }

        // A device region's block is not held: see AddressSpace on lifetime.
        if (region.Ram is { } block)
        {
            _space.Hold(block);
            (_placedBlocks ??= []).Add(block);
        }

        Placement placement = new(region, new AddressRange(address, region.Size), priority, _space.NextSequence());
        (_edits ??= [])[region] = placement;
        return true;
    }

    /// <summary>Takes a region out of the space; false when it was not in it.</summary>
    public bool Remove(Region region)
    {
        ArgumentNullException.ThrowIfNull(region);
        CheckOpen();
        if (Find(region) is null)
        {
            return false;
        }

        (_edits ??= [])[region] = null;
        if (region.Ram is { } block)
        {
            (_removedBlocks ??= []).Add(block);
        }

        return true;
    }

    /// <summary>Makes everything take effect: one new view, one difference, every listener told once. The change is then closed to further edits.</summary>
    /// <exception cref="ApertureException">The host failed while a listener applied the view. The view is in effect all the same.</exception>
    public void Commit()
    {
        CheckOpen();
        _ended = true;
        if (_edits is null)
        {
            return;
        }

        try
        {
            _space.Publish(_edits);
        }
        finally
        {
            if (_placedBlocks is not null || _removedBlocks is not null)
            {
                _space.Count(_placedBlocks ?? [], _removedBlocks ?? []);
            }
        }
    }

    /// <summary>Ends the change and lets others change the space.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _ended = true;
            _space.Close();
        }
    }

    private void CheckOpen()
    {
        if (_ended)
        {
            throw new InvalidOperationException($"the change of {_space.Name} has ended");
        }
    }

    private Placement? Find(Region region) =>
        _edits is not null && _edits.TryGetValue(region, out Placement? edited) ? edited : _space.Find(region);
}
