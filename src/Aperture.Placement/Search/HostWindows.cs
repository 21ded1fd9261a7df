namespace Aperture.Placement.Search;

/// <summary>Shares the address spaces out among the host bridges: each gets the windows that hold what is below it, and none holds another's.</summary>
internal static class HostWindows
{
    /// <summary>Each host bridge's windows in one arena, sorted and disjoint.</summary>
    public static List<Extent>[] Share(Arena arena, IReadOnlyList<Block> root, int hosts)
    {
        List<Extent>[] windows = new List<Extent>[hosts];
        for (int host = 0; host < hosts; host++)
        {
            windows[host] = arena.IsSet(host) ? [.. arena.LegalOf(host).Spans] : [];
        }

        List<Block> placed = [.. root.Where(block => !block.Placed.IsEmpty).OrderBy(block => block.Placed.Start)];
        foreach (Block block in placed)
        {
            windows[block.Node.Host].Add(block.Placed);
        }

        int first = Enumerable.Range(0, hosts).FirstOrDefault(host => !arena.IsSet(host), -1);
        if (first >= 0)
        {
            ShareFree(arena, placed, windows, first);
        }

        return [.. windows.Select(list => new List<Extent>(new FreeSpace(list).Spans))];
    }

    /// <summary>
    /// Room that nothing takes goes to the bridge of the block below it, else of the block above it, else to the first bridge without set windows.
    /// </summary>
    private static void ShareFree(Arena arena, List<Block> placed, List<Extent>[] windows, int first)
    {
        int index = 0;
        foreach (Extent span in arena.AutomaticOf(first).Spans)
        {
            while (index < placed.Count && placed[index].Placed.End <= span.Start)
            {
                index++;
            }

            ulong start = span.Start;
            int? owner = null;
            for (; index < placed.Count && placed[index].Placed.Start < span.End; index++)
            {
                int host = placed[index].Node.Host;
                Extent gap = new(start, placed[index].Placed.Start);
                if (!gap.IsEmpty)
                {
                    windows[owner ?? host].Add(gap);
                }

                owner = host;
                start = placed[index].Placed.End;
            }

            if (start < span.End)
            {
                windows[owner ?? first].Add(new Extent(start, span.End));
            }

            // A block may reach into the next span only when it was placed over both, which obstacles between spans exclude.
        }
    }
}
