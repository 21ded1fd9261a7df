namespace Aperture;

/// <summary>Finds what a mistyped word was meant to be.</summary>
public static class Suggestion
{
    // Fewer letters begin too many words.
    private const int ShortestBeginning = 3;

    /// <summary>
    /// The candidate with the fewest edits from <paramref name="word"/> (a letter added, left out, or changed, or two neighbours swapped), the first of
    /// equals; a candidate that the word begins counts as one edit away. Null when none is within a third of the word's length, or 1.
    /// </summary>
    public static string? Nearest(string word, IEnumerable<string> candidates)
    {
        ArgumentNullException.ThrowIfNull(word);
        ArgumentNullException.ThrowIfNull(candidates);
        string? best = null;
        int bestDistance = Math.Max(1, word.Length / 3) + 1;
        foreach (string candidate in candidates)
        {
            int distance = word.Length >= ShortestBeginning && candidate.StartsWith(word, StringComparison.Ordinal)
                ? Math.Min(1, candidate.Length - word.Length)
                : Distance(word, candidate);
            if (distance < bestDistance)
            {
                (best, bestDistance) = (candidate, distance);
            }
        }

        return best;
    }

    // Optimal string alignment: Levenshtein's distance with swapped neighbours as one edit. Three rows at a time.
    private static int Distance(string a, string b)
    {
        int[] before = new int[b.Length + 1];
        int[] above = [.. Enumerable.Range(0, b.Length + 1)];
        int[] row = new int[b.Length + 1];
        for (int i = 1; i <= a.Length; i++)
        {
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int least = Math.Min(above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1), Math.Min(above[j], row[j - 1]) + 1);
                bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                row[j] = swapped ? Math.Min(least, before[j - 2] + 1) : least;
            }

            (before, above, row) = (above, row, before);
        }

        return above[b.Length];
    }
}
