namespace Aperture.Memory;

/// <summary>Resolves overlapping placements into a flat view: one sweep over the addresses, the strongest placement that covers each run wins.</summary>
internal static class FlatViewBuilder
{
    // Smallest first out of the queue: the highest priority, and of equals the newest.
    private static readonly Comparer<Placement> StrongestFirst = Comparer<Placement>.Create(static (left, right) =>
    {
        int byPriority = right.Priority.CompareTo(left.Priority);
        return byPriority != 0 ? byPriority : right.Sequence.CompareTo(left.Sequence);
    });

    /// <summary>Builds the view of <paramref name="placements"/>, which are sorted by their start.</summary>
    internal static FlatView Build(IReadOnlyList<Placement> placements)
    {
        List<FlatRange> runs = new(placements.Count + 8);
        PriorityQueue<Placement, Placement> covering = new(StrongestFirst);
        int next = 0;
        GuestAddress cursor = GuestAddress.Zero;
        while (true)
        {
            DropEnded(covering, cursor);
            if (covering.Count == 0)
            {
                if (next == placements.Count)
                {
                    return runs.Count == 0 ? FlatView.Empty : new FlatView([.. runs]);
                }

                cursor = placements[next].Range.Start;
            }

            for (; next < placements.Count && placements[next].Range.Start <= cursor; next++)
            {
                covering.Enqueue(placements[next], placements[next]);
            }

            // The winner holds until it ends or until something else begins, which may be stronger.
            Placement winner = covering.Peek();
            GuestAddress last = winner.Range.Last;
            if (next < placements.Count && placements[next].Range.Start <= last)
            {
                last = placements[next].Range.Start - 1;
            }

            Append(runs, winner, cursor, last);
            cursor = last + 1; // cannot wrap: limits end at 2^64 - 2 at most
        }
    }

    private static void DropEnded(PriorityQueue<Placement, Placement> covering, GuestAddress cursor)
    {
        while (covering.TryPeek(out Placement? top, out _) && top.Range.Last < cursor)
        {
            covering.Dequeue();
        }
    }

    private static void Append(List<FlatRange> runs, Placement winner, GuestAddress first, GuestAddress last)
    {
        if (winner.Region.Kind == RegionKind.Hole)
        {
            return;
        }

        if (runs.Count > 0)
        {
            FlatRange previous = runs[^1];
            if (ReferenceEquals(previous.Region, winner.Region) && previous.Range.Last + 1 == first)
            {
                runs[^1] = previous with { Range = AddressRange.FromBounds(previous.Range.Start, last) };
                return;
            }
        }

        runs.Add(new FlatRange(AddressRange.FromBounds(first, last), winner.Region, first - winner.Range.Start));
    }
}
