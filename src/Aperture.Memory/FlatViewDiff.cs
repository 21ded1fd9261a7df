using System.Collections.Immutable;

namespace Aperture.Memory;

/// <summary>
/// What changed between two views, run by run. A run with the same addresses, region and offset in both is kept; any other is removed
/// from the old or added by the new one. Each list is in address order.
/// </summary>
public sealed class FlatViewDiff
{
    private readonly FlatView _old;

    internal FlatViewDiff(FlatView old, ImmutableArray<FlatRange> removed, ImmutableArray<FlatRange> added) =>
        (_old, Removed, Added) = (old, removed, added);

    /// <summary>Runs of the old view that the new one does not have.</summary>
    public ImmutableArray<FlatRange> Removed { get; }

    /// <summary>Runs of the new view that the old one does not have.</summary>
    public ImmutableArray<FlatRange> Added { get; }

    /// <summary>Runs that both have. Made anew by each call.</summary>
    public ImmutableArray<FlatRange> Kept
    {
        get
        {
            ImmutableArray<FlatRange>.Builder kept = ImmutableArray.CreateBuilder<FlatRange>();
            int gone = 0;
            foreach (ref readonly FlatRange run in _old.Ranges)
            {
                if (gone < Removed.Length && Removed[gone] == run)
                {
                    gone++;
                }
                else
                {
                    kept.Add(run);
                }
            }

            return kept.ToImmutable();
        }
    }

    /// <summary>True when both views are the same.</summary>
    public bool IsEmpty => Removed.IsEmpty && Added.IsEmpty;

    /// <summary>
    /// True when memory that a vCPU may be using goes away and something else, or the same memory resized, comes at an address of it: between
    /// the two steps the guest would see a hole, so it has to stand still meanwhile.
    /// </summary>
    public bool ReplacesLiveMemory => Replaces(static _ => true);

    /// <summary>
    /// True when memory goes away and memory comes at an address of it. A vCPU that meets neither slot between the two steps finds nobody to answer as memory
    /// would; where a handler takes the place of memory it finds that.
    /// </summary>
    public bool ReplacesMemoryByMemory => Replaces(static region => region.Block is not null);

    /// <summary>True when RAM or device memory comes, goes or moves: memory slots have to follow.</summary>
    internal bool TouchesRam => Holds(Removed) || Holds(Added);

    /// <summary>Compares two views.</summary>
    public static FlatViewDiff Between(FlatView old, FlatView next)
    {
        ArgumentNullException.ThrowIfNull(old);
        ArgumentNullException.ThrowIfNull(next);
        List<FlatRange> removed = [];
        List<FlatRange> added = [];
        Compare(old.Ranges, next.Ranges, removed, added);
        return new FlatViewDiff(old, [.. removed], [.. added]);
    }

    /// <summary>Compares runs of two views, and adds what differs to the lists.</summary>
    internal static void Compare(ReadOnlySpan<FlatRange> before, ReadOnlySpan<FlatRange> after, List<FlatRange> removed, List<FlatRange> added)
    {
        int i = 0;
        int j = 0;
        while (i < before.Length || j < after.Length)
        {
            // Runs are disjoint and sorted, so equal runs have equal starts and meet here.
            int order = i == before.Length ? 1 : j == after.Length ? -1 : before[i].Range.Start.CompareTo(after[j].Range.Start);
            if (order != 0 || before[i] != after[j])
            {
                if (order <= 0)
                {
                    removed.Add(before[i]);
                }

                if (order >= 0)
                {
                    added.Add(after[j]);
                }
            }

            i += order <= 0 ? 1 : 0;
            j += order >= 0 ? 1 : 0;
        }
    }

    private bool Replaces(Func<Region, bool> counts)
    {
        int added = 0;
        foreach (FlatRange gone in Removed)
        {
            while (added < Added.Length && Added[added].Range.Last < gone.Range.Start)
            {
                added++;
            }

            for (int at = added; gone.Region.Block is not null && at < Added.Length && Added[at].Range.Overlaps(gone.Range); at++)
            {
                if (counts(Added[at].Region))
                {
                    return true;
                }
            }
        }

        return false;
    }

    private static bool Holds(ImmutableArray<FlatRange> runs)
    {
        foreach (FlatRange run in runs)
        {
            if (run.Region.Block is not null)
            {
                return true;
            }
        }

        return false;
    }
}
