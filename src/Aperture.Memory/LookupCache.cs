using System.Runtime.CompilerServices;

namespace Aperture.Memory;

/// <summary>
/// Remembers where the last lookups ended, and the handlers that answered. One per vCPU or device thread, never used by another thread: the cells it
/// counts in belong to the thread that filled it. What it remembers of a handler holds for one view only, and is believed only while that view is
/// the current one; the index is a hint, believed only when the run there holds the address. So a cache from an older view costs a search
/// and never gives a wrong answer. A default value is an empty cache.
/// </summary>
public struct LookupCache
{
    internal int Index;

    // Two, because drivers go back and forth between two places: a doorbell and a status, an index and a data register.
    internal CachedRun Last;
    internal CachedRun Before;

    /// <summary>Keeps what <paramref name="run"/> of <paramref name="view"/> says, and gives the calling thread's cell of its region.</summary>
    internal AccessCell Remember(FlatView view, in FlatRange run)
    {
        AccessCell cell = run.Region.Counts!.Mine;

        // Memory is accessed without a handler, or with one for writes only; its exits are few.
        if (run.Region.Ram is null)
        {
            Before = Last;
            Last = new CachedRun(view, in run, cell);
        }

        return cell;
    }
}

/// <summary>A run of a view whose every access goes to a handler, with all that an access needs of it.</summary>
internal readonly struct CachedRun
{
    // Null in an empty one.
    private readonly FlatView? _view;
    private readonly ulong _start;
    private readonly ulong _lastOffset;
    private readonly ulong _offsetInRegion;

    public readonly IAccessHandler Handler;
    public readonly AccessCell Cell;

    public CachedRun(FlatView view, in FlatRange run, AccessCell cell)
    {
        _view = view;
        _start = run.Range.Start.Value;
        _lastOffset = run.Range.Size - 1;
        _offsetInRegion = run.OffsetInRegion;
        Handler = run.Region.Handler!;
        Cell = cell;
    }

    /// <summary>True when this is of <paramref name="view"/> and holds the access; <paramref name="offset"/> is then where in the region it begins.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Holds(FlatView view, GuestAddress address, int size, out ulong offset)
    {
        ulong at = address.Value - _start;
        offset = _offsetInRegion + at;
        return ReferenceEquals(_view, view) && at <= _lastOffset && _lastOffset - at >= (ulong)(size - 1);
    }
}
