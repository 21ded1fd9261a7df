using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Aperture.Memory;

/// <summary>
/// What changed between two views, run by run. A run with the same addresses, region and offset in both is kept; any other is removed
/// from the old or added by the new one. Each list is in address order.
/// </summary>
/// <param name="Removed">Runs of the old view that the new one does not have.</param>
/// <param name="Added">Runs of the new view that the old one does not have.</param>
/// <param name="Kept">Runs that both have.</param>
public sealed record FlatViewDiff(ImmutableArray<FlatRange> Removed, ImmutableArray<FlatRange> Added, ImmutableArray<FlatRange> Kept)
{
    /// <summary>True when both views are the same.</summary>
    public bool IsEmpty => Removed.IsEmpty && Added.IsEmpty;

    /// <summary>
    /// True when memory that a vCPU may be using goes away and something else, or the same memory resized, comes at an address of it: between
    /// the two steps the guest would see a hole, so it has to stand still meanwhile.
    /// </summary>
    public bool ReplacesLiveMemory
    {
        get
        {
            int added = 0;
            foreach (FlatRange gone in Removed)
            {
                while (added < Added.Length && Added[added].Range.Last < gone.Range.Start)
                {
                    added++;
                }

                if (gone.Region.Block is not null && added < Added.Length && Added[added].Range.Overlaps(gone.Range))
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <summary>True when RAM or device memory comes, goes or moves: memory slots have to follow.</summary>
    internal bool TouchesRam => Holds(Removed) || Holds(Added);

    /// <summary>Compares two views.</summary>
    public static FlatViewDiff Between(FlatView old, FlatView next)
    {
        ReadOnlySpan<FlatRange> before = old.Ranges;
        ReadOnlySpan<FlatRange> after = next.Ranges;
        List<FlatRange> removed = [];
        List<FlatRange> added = [];
        List<FlatRange> kept = new(Math.Min(before.Length, after.Length));
        int i = 0;
        int j = 0;
        while (i < before.Length || j < after.Length)
        {
            // Runs are disjoint and sorted, so equal runs have equal starts and meet here.
            int order = i == before.Length ? 1 : j == after.Length ? -1 : before[i].Range.Start.CompareTo(after[j].Range.Start);
            if (order == 0 && before[i] == after[j])
            {
                kept.Add(before[i]);
            }
            else
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

        return new FlatViewDiff(Freeze(removed), Freeze(added), Freeze(kept));
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

    private static ImmutableArray<FlatRange> Freeze(List<FlatRange> runs) => ImmutableCollectionsMarshal.AsImmutableArray(runs.ToArray());
}
