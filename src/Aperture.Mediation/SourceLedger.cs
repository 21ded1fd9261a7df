namespace Aperture.Mediation;

/// <summary>
/// Who has which page of the memory that a mediator grants: no page is with two guests unless each was granted it as shared. One guest may have a page at
/// several places. Thread-safe.
/// </summary>
public sealed class SourceLedger
{
    private readonly Lock _gate = new();
    private readonly Dictionary<(GrantSource Source, ulong Page), List<Holder>> _pages = [];

    /// <summary>How many pages are with anybody.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _pages.Count;
            }
        }
    }

    /// <summary>Writes a guest's grant down; false, and nothing is changed, when another guest has one of its pages.</summary>
    public bool TryTake(object guest, Grant grant)
    {
        lock (_gate)
        {
            for (ulong page = First(grant); page < Last(grant); page++)
            {
                if (_pages.TryGetValue((grant.Source, page), out List<Holder>? holders)
                    && holders.Exists(h => h.Guest != guest && !(h.IsShared && grant.IsShared)))
                {
                    return false;
                }
            }

            for (ulong page = First(grant); page < Last(grant); page++)
            {
                (_pages.TryGetValue((grant.Source, page), out List<Holder>? holders) ? holders : _pages[(grant.Source, page)] = new List<Holder>(1))
                    .Add(new Holder(guest, grant.IsShared));
            }

            return true;
        }
    }

    /// <summary>A guest has the pages of a grant no more, at one place.</summary>
    public void Release(object guest, Grant grant)
    {
        lock (_gate)
        {
            for (ulong page = First(grant); page < Last(grant); page++)
            {
                if (_pages.TryGetValue((grant.Source, page), out List<Holder>? holders) && holders.Remove(new Holder(guest, grant.IsShared))
                    && holders.Count == 0)
                {
                    _pages.Remove((grant.Source, page));
                }
            }
        }
    }

    private static ulong First(Grant grant) => grant.SourceOffset / GrantBook.Page;

    private static ulong Last(Grant grant) => (grant.SourceOffset + grant.Size) / GrantBook.Page;

    private readonly record struct Holder(object Guest, bool IsShared);
}
