namespace Aperture.Cli;

/// <summary>Writes rows of cells as aligned columns of plain text.</summary>
internal static class TextTable
{
    /// <summary>Writes <paramref name="head"/>, a rule, and <paramref name="rows"/>.</summary>
    public static void Write(TextWriter output, IReadOnlyList<string> head, IReadOnlyList<IReadOnlyList<string>> rows)
    {
        int[] widths = [.. head.Select((cell, column) => rows.Select(r => r[column].Length).Append(cell.Length).Max())];
        WriteRow(output, head, widths);
        output.WriteLine(string.Join("  ", widths.Select(w => new string('-', w))));
        foreach (IReadOnlyList<string> row in rows)
        {
            WriteRow(output, row, widths);
        }
    }

    private static void WriteRow(TextWriter output, IReadOnlyList<string> cells, int[] widths) =>
        output.WriteLine(string.Join("  ", cells.Select((cell, column) => cell.PadRight(widths[column]))).TrimEnd());
}
