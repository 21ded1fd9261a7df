namespace Aperture.Memory;

/// <summary>Resolves overlapping placements into a flat view: one sweep over the addresses, the strongest placement that covers each run wins.</summary>
internal static class FlatViewBuilder
{
    /// <summary>Builds the view of <paramref name="placements"/>, which are sorted by their start.</summary>
    internal static FlatView Build(List<Placement> placements)
    {
        List<FlatRange> runs = new(placements.Count + 8);

        // Those that reach past the cursor. Few at any address, because BARs that overlap each other are not placed at all: a scan beats a heap.
        List<Placement> covering = [];
        int next = 0;
        GuestAddress cursor = GuestAddress.Zero;
        while (true)
        {
            if (Strongest(covering, cursor) is null)
            {
                if (next == placements.Count)
                {
                    return runs.Count == 0 ? FlatView.Empty : new FlatView([.. runs]);
                }

                cursor = placements[next].Range.Start;
            }

            for (; next < placements.Count && placements[next].Range.Start <= cursor; next++)
            {
                covering.Add(placements[next]);
            }

            // The winner holds until it ends or until something else begins, which may be stronger.
            Placement winner = Strongest(covering, cursor)!;
            GuestAddress last = winner.Range.Last;
            if (next < placements.Count && placements[next].Range.Start <= last)
            {
                last = placements[next].Range.Start - 1;
            }

            Append(runs, winner, cursor, last);
            cursor = last + 1; // cannot wrap: limits end at 2^64 - 2 at most
        }
    }

    // Of those that have not ended, which it drops, the one with the highest priority, and of equals the newest.
    private static Placement? Strongest(List<Placement> covering, GuestAddress cursor)
    {
        Placement? strongest = null;
        for (int i = covering.Count - 1; i >= 0; i--)
        {
            Placement candidate = covering[i];
            if (candidate.Range.Last < cursor)
            {
                covering[i] = covering[^1];
                covering.RemoveAt(covering.Count - 1);
            }
            else if (strongest is null || candidate.Priority > strongest.Priority
                || (candidate.Priority == strongest.Priority && candidate.Sequence > strongest.Sequence))
            {
                strongest = candidate;
            }
        }

        return strongest;
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
