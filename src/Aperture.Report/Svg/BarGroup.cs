namespace Aperture.Report.Svg;

/// <summary>BARs that share one line of the picture, in the order of their addresses.</summary>
internal sealed record BarGroup(IReadOnlyList<BarRow> Bars)
{
    public ulong Start => Bars[0].Bar.Range.Start.Value;

    /// <summary>The first address past the last BAR.</summary>
    public ulong End => Bars[^1].Bar.Range.Start.Value + Bars[^1].Bar.Range.Size;

    /// <summary>
    /// The BARs in <paramref name="rows"/> in at most <paramref name="most"/> groups where windows allow it. Neighbours in address that are close
    /// in the tree come together first: those of one function, of one bus, of one switch. No group crosses a host bridge window's end.
    /// </summary>
    public static List<BarGroup> Make(IEnumerable<BarRow> rows, int most)
    {
        BarRow[] sorted = [.. rows.Where(r => !r.Bar.Range.IsEmpty).OrderBy(r => r.Bar.Range).ThenBy(r => r.Function.Address)];
        if (sorted.Length <= most)
        {
            return [.. sorted.Select(row => new BarGroup([row]))];
        }

        // Of each BAR, how far the one before it is; past int.MaxValue - 1 they never come together.
        int[] distance = new int[sorted.Length];
        for (int i = 0; i < sorted.Length; i++)
        {
            distance[i] = i == 0 ? int.MaxValue : Distance(sorted[i - 1], sorted[i]);
        }

        int[] levels = [-1, .. distance.Where(d => d != int.MaxValue).Distinct().Order()];
        int level = Array.FindIndex(levels, l => Count(distance, l) <= most);
        level = level < 0 ? levels.Length - 1 : level;
        return level == 0 ? Cut(sorted, distance, levels[0]) : Chunk(sorted, distance, levels[level - 1], levels[level], most);
    }

    private static int Count(int[] distance, int level) => distance.Count(d => d > level);

    private static List<BarGroup> Cut(BarRow[] sorted, int[] distance, int level)
    {
        List<BarGroup> groups = [];
        int start = 0;
        for (int i = 1; i <= sorted.Length; i++)
        {
            if (i == sorted.Length || distance[i] > level)
            {
                groups.Add(new BarGroup(sorted[start..i]));
                start = i;
            }
        }

        return groups;
    }

    // Everything of the coarse level in one group may be more than is needed: as many of the fine level's groups come together as must.
    private static List<BarGroup> Chunk(BarRow[] sorted, int[] distance, int fine, int coarse, int most)
    {
        List<List<BarGroup>> runs = [];
        int at = 0;
        foreach (BarGroup group in Cut(sorted, distance, fine))
        {
            if (distance[at] > coarse)
            {
                runs.Add([]);
            }

            runs[^1].Add(group);
            at += group.Bars.Count;
        }

        int size = 1;
        while (size < sorted.Length && runs.Sum(r => (r.Count + size - 1) / size) > most)
        {
            size++;
        }

        return [.. runs.SelectMany(run => Even(run, size))];
    }

    private static IEnumerable<BarGroup> Even(List<BarGroup> run, int size)
    {
        int chunks = (run.Count + size - 1) / size;
        for (int i = 0; i < chunks; i++)
        {
            int from = run.Count * i / chunks;
            int to = run.Count * (i + 1) / chunks;
            yield return new BarGroup([.. run[from..to].SelectMany(g => g.Bars)]);
        }
    }

    private static int Distance(BarRow a, BarRow b)
    {
        if (!ReferenceEquals(a.HostBridge, b.HostBridge) || HostWindow(a) != HostWindow(b))
        {
            return int.MaxValue;
        }

        if (ReferenceEquals(a.Function, b.Function))
        {
            return 0;
        }

        int common = 0;
        while (common < a.Bridges.Count && common < b.Bridges.Count && ReferenceEquals(a.Bridges[common], b.Bridges[common]))
        {
            common++;
        }

        return 1 + Math.Max(a.Bridges.Count, b.Bridges.Count) - common;
    }

    private static AddressRange? HostWindow(BarRow row) =>
        Windows.Of(row.HostBridge).FirstOrDefault(w => w.IsIo == row.IsIo && w.Range.Contains(row.Bar.Range))?.Range;
}
