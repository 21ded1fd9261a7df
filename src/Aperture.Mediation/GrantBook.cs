namespace Aperture.Mediation;

/// <summary>
/// Which page of which BAR of one guest has which memory behind it: disjoint grants, as data. Not thread-safe. A grant is added whole or not at all, and may be
/// taken back in pieces.
/// </summary>
public sealed class GrantBook
{
    /// <summary>Bytes of a page.</summary>
    public const ulong Page = 4096;

    // By BAR and offset, disjoint.
    private readonly List<Grant> _grants = [];

    /// <summary>The grants by BAR and offset; neighbours stay as they were granted.</summary>
    public IReadOnlyList<Grant> Grants => _grants;

    /// <summary>The grant of the byte at <paramref name="offset"/>; null when there is none.</summary>
    public Grant? Find(int bar, ulong offset)
    {
        int at = FirstEndingAfter(bar, offset);
        return at < _grants.Count && _grants[at].Bar == bar && _grants[at].Offset <= offset ? _grants[at] : null;
    }

    /// <summary>
    /// Adds a grant. Pages that are granted already stay as they are where they have the same memory and protection; false, and nothing is changed, where a
    /// page has another: that is to be revoked first.
    /// </summary>
    /// <param name="grant">Whole pages.</param>
    /// <param name="added">What was not granted before, in pieces.</param>
    public bool TryAdd(Grant grant, out IReadOnlyList<Grant> added)
    {
        List<Grant> pieces = [];
        added = pieces;
        ulong next = grant.Offset;
        int first = FirstEndingAfter(grant.Bar, grant.Offset);
        int at = first;
        for (; at < _grants.Count && _grants[at].Bar == grant.Bar && _grants[at].Offset < grant.End; at++)
        {
            Grant there = _grants[at];
            if (!IsSame(there, grant))
            {
                pieces.Clear();
                return false;
            }

            if (there.Offset > next)
            {
                pieces.Add(grant.Cut(next, there.Offset - next));
            }

            next = there.End;
        }

        if (next < grant.End)
        {
            pieces.Add(grant.Cut(next, grant.End - next));
        }

        foreach (Grant piece in pieces)
        {
            _grants.Insert(FirstEndingAfter(piece.Bar, piece.Offset), piece);
        }

        return true;
    }

    /// <summary>Takes back what is granted of a range of whole pages.</summary>
    /// <returns>What that was, by offset.</returns>
    public IReadOnlyList<Grant> Revoke(int bar, ulong offset, ulong size)
    {
        List<Grant> taken = [];
        ulong end = offset + size;
        int at = FirstEndingAfter(bar, offset);
        while (at < _grants.Count && _grants[at].Bar == bar && _grants[at].Offset < end)
        {
            Grant there = _grants[at];
            _grants.RemoveAt(at);
            ulong from = Math.Max(there.Offset, offset);
            ulong to = Math.Min(there.End, end);
            taken.Add(there.Cut(from, to - from));
            if (there.Offset < from)
            {
                _grants.Insert(at++, there.Cut(there.Offset, from - there.Offset));
            }

            if (to < there.End)
            {
                _grants.Insert(at++, there.Cut(to, there.End - to));
            }
        }

        return taken;
    }

    /// <summary>Takes everything back.</summary>
    /// <returns>What that was.</returns>
    public IReadOnlyList<Grant> Clear()
    {
        Grant[] taken = [.. _grants];
        _grants.Clear();
        return taken;
    }

    // Where both are, they are the same memory.
    private static bool IsSame(Grant one, Grant other) => one.Source == other.Source
        && one.Protection == other.Protection
        && one.IsShared == other.IsShared
        && unchecked(one.SourceOffset - one.Offset == other.SourceOffset - other.Offset);

    private int FirstEndingAfter(int bar, ulong offset)
    {
        int low = 0;
        int high = _grants.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            Grant grant = _grants[middle];
            if (grant.Bar < bar || (grant.Bar == bar && grant.End <= offset))
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
