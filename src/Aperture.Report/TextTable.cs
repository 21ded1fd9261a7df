using System.Text;

namespace Aperture.Report;

/// <summary>Rows of text in aligned columns.</summary>
public sealed class TextTable
{
    private readonly List<string[]> _rows = [];
    private readonly bool[] _right;

    /// <summary>A table with these headings; one that starts with <c>&gt;</c> has its column aligned to the right.</summary>
    public TextTable(params string[] headings)
    {
        _right = [.. headings.Select(h => h.StartsWith('>'))];
        _rows.Add([.. headings.Select(h => h.TrimStart('>'))]);
    }

    /// <summary>Adds a row; one cell for each heading.</summary>
    public void Add(params string[] cells) => _rows.Add([.. cells.Select(Spelling.Plain)]);

    /// <summary>Appends the table, two blanks between columns, lines ended by <c>\n</c>. Columns that are empty in every row are left out.</summary>
    public void Write(StringBuilder text)
    {
        int[] columns = [.. Enumerable.Range(0, _right.Length).Where(c => _rows.Skip(1).Any(r => r[c].Length > 0))];
        int[] widths = [.. Enumerable.Range(0, _right.Length).Select(c => _rows.Max(r => r[c].Length))];
        foreach (string[] row in _rows)
        {
            string line = string.Join("  ", columns.Select(c => _right[c] ? row[c].PadLeft(widths[c]) : row[c].PadRight(widths[c])));
            text.Append(line.TrimEnd()).Append('\n');
        }
    }
}
