namespace Aperture.Report.Svg;

/// <summary>Where the picture's columns are, in pixels. The text columns are as wide as their longest text, up to a limit each.</summary>
internal sealed record Columns
{
    public const double Margin = 20;
    public const double SpaceWidth = 54;
    public const double BarWidth = 78;
    private const double Gap = 10;
    private const double BracketWidth = 15;
    private const double LeastWidth = 760;

    public required double SpaceX { get; init; }

    public required double BracketX { get; init; }

    public required double BarX { get; init; }

    public required IReadOnlyList<double> TextX { get; init; }

    public required IReadOnlyList<double> TextWidth { get; init; }

    /// <summary>The right end of the last column.</summary>
    public required double Right { get; init; }

    public required int BracketColumns { get; init; }

    public double AddressWidth => SpaceX - Gap - Margin;

    /// <summary>The place of a bracket; the deepest ones share the last column.</summary>
    public Box Bracket(int depth, double top, double bottom) =>
        new(BracketX + Math.Min(depth, BracketColumns - 1) * BracketWidth, top, BracketWidth - 2, bottom - top);

    /// <summary>Columns for <paramref name="lines"/> of <paramref name="addresses"/> and windows nested <paramref name="depth"/> deep.</summary>
    public static Columns For(IEnumerable<string> addresses, IReadOnlyList<LineText> lines, int depth)
    {
        int brackets = Math.Clamp(depth, 1, 8);
        double addressWidth = addresses.Select(a => Font.Small.Width(a)).DefaultIfEmpty(0).Max();
        double space = Margin + addressWidth + Gap;
        double bracket = space + SpaceWidth + 6;
        double bar = bracket + brackets * BracketWidth + 4;
        double x = bar + BarWidth + 16;
        List<double> xs = [];
        List<double> widths = [];
        for (int i = 0; i < LineText.Columns; i++)
        {
            double width = lines.Select(l => l.Cells[i]).Where(c => c.Length > 0).Select(c => Font.Row.Width(Scene.Clean(c))).DefaultIfEmpty(0).Max();
            width = Math.Min(width, LineText.Limits[i] * Font.Row.Size * 0.62);
            xs.Add(x);
            widths.Add(width);
            x += width > 0 ? width + Gap : 0;
        }

        // What spans the first columns must have room for the usual names of ranges.
        double spare = Math.Max(0, 250 - (xs[LineText.SizeColumn] - Gap - xs[0]));
        for (int i = LineText.SizeColumn; i < LineText.Columns; i++)
        {
            xs[i] += spare;
        }

        return new Columns
        {
            SpaceX = space,
            BracketX = bracket,
            BarX = bar,
            TextX = xs,
            TextWidth = widths,
            BracketColumns = brackets,
            Right = Math.Max(x + spare - Gap, LeastWidth - Margin),
        };
    }
}

/// <summary>What stands beside a band: cells for each text column. A line about no BAR has only a name, which spans the first columns, and a size.</summary>
/// <param name="Cells">Function, name, BAR, size, kind, pinned, host address; empty where there is nothing to say.</param>
/// <param name="Span">The name that spans the columns before the size, or null.</param>
internal sealed record LineText(IReadOnlyList<string> Cells, string? Span)
{
    public const int Columns = 7;
    public const int SizeColumn = 3;
    public const int HostColumn = 6;

    /// <summary>The most characters of each column.</summary>
    public static IReadOnlyList<int> Limits { get; } = [29, 20, 10, 12, 8, 10, 28];

    public static LineText Plain(string name, ulong size) => new(["", "", "", Spellings.Approximate(size), "", "", ""], name);
}
