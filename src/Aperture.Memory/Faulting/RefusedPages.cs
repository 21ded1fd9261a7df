namespace Aperture.Memory.Faulting;

/// <summary>
/// Which pages stand for refused ones, and until when. A page stays long enough for the processor to get at it, and no longer than the guest might ask for
/// it and touch it again: so an exchange with the device ends the stay early, but not time after time, or a processor that polls the device could keep another
/// from ever getting at its page. Not thread-safe.
/// </summary>
internal sealed class RefusedPages
{
    /// <summary>How long a page stays, in milliseconds.</summary>
    public const int Stay = 10;

    /// <summary>The most pages at a time: processors need a few each, and a guest may not make this process take much.</summary>
    public const int Most = 64;

    private const int MostEarly = 8;
    private const int MostRemembered = 1024;

    // By the offset of the first page.
    private readonly Dictionary<ulong, (ulong Size, long Due)> _due = [];
    private readonly Dictionary<ulong, int> _early = [];

    public int Count => _due.Count;

    public void Add(ulong offset, ulong size, long now) => _due[offset] = (size, now + Stay);

    /// <summary>Pages of a range are granted or taken back.</summary>
    public void Remove(ulong offset, ulong size)
    {
        foreach ((ulong page, (ulong length, _)) in _due)
        {
            if (page < offset + size && offset < page + length)
            {
                _due.Remove(page);
                _early.Remove(page);
            }
        }
    }

    /// <summary>Takes the pages whose stay is over.</summary>
    public List<(ulong Offset, ulong Size)> TakeDue(long now)
    {
        List<(ulong, ulong)> pages = [];
        foreach ((ulong page, (ulong size, long due)) in _due)
        {
            if (due <= now)
            {
                pages.Add((page, size));
                _due.Remove(page);
                _early.Remove(page);
            }
        }

        return pages;
    }

    /// <summary>Takes the pages whose stay may end early.</summary>
    public List<(ulong Offset, ulong Size)> TakeEarly()
    {
        List<(ulong, ulong)> pages = [];
        if (_early.Count > MostRemembered)
        {
            _early.Clear();
        }

        foreach ((ulong page, (ulong size, _)) in _due)
        {
            int times = _early.GetValueOrDefault(page);
            if (times < MostEarly)
            {
                _early[page] = times + 1;
                pages.Add((page, size));
                _due.Remove(page);
            }
        }

        return pages;
    }

    /// <summary>Takes the page that is there for the longest time.</summary>
    public (ulong Offset, ulong Size) TakeOldest()
    {
        (ulong oldest, (ulong size, _)) = _due.MinBy(static each => each.Value.Due);
        _due.Remove(oldest);
        return (oldest, size);
    }
}
