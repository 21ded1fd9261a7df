using System.Globalization;
using System.Numerics;
using Aperture.Pci;

namespace Aperture.Report.Svg;

/// <summary>
/// Draws one address space, low addresses at the top. A band with a line of text is at least as high as the line, so lines never meet; beyond
/// that a band grows with the logarithm of its size. Unused runs are short, and large ones are marked as breaks.
/// </summary>
internal sealed class Panel
{
    private const double LineHeight = 18;
    private const double SlotHeight = 3;
    private readonly AddressBands _bands;
    private readonly bool _withSegment;
    private readonly double[] _heights;
    private double[] _tops = [];

    public Panel(string heading, AddressBands bands, bool withSegment)
    {
        Heading = heading;
        _bands = bands;
        _withSegment = withSegment;
        int lines = bands.Cells.Count(c => !c.IsFree);
        double unlabelled = bands.Cells.Count > 60 ? 3 : 6;
        double perBit = lines <= 24 ? 1.3 : lines <= 48 ? 0.6 : 0.2;
        ulong least = bands.Cells[^1].End > 0x1_0000 ? lines <= 40 ? 16UL << 20 : 256UL << 20 : 0x1000;
        _heights = [.. bands.Cells.Select(c => Height(c, perBit, least, unlabelled))];
        Lines = [.. bands.Cells.Where((_, i) => IsLabelled(i)).Select(c => Spellings.Line(c, withSegment))];
        Addresses = [.. bands.Cells.Select(c => Hex(c.Start)), Hex(bands.Cells[^1].End - 1)];
    }

    public string Heading { get; }

    public IReadOnlyList<LineText> Lines { get; }

    public IReadOnlyList<string> Addresses { get; }

    public int Depth => _bands.Brackets.Count == 0 ? 1 : _bands.Brackets.Max(b => b.Depth) + 1;

    public IEnumerable<CellKind> Kinds => _bands.Cells.Select(c => c.Kind).Distinct();

    /// <summary>Draws from <paramref name="top"/> down; the result is the lower edge.</summary>
    public double Draw(Scene scene, Columns columns, double top)
    {
        scene.Write(Columns.Margin, top, columns.Right - Columns.Margin, Heading, Font.Head, "head");
        double y = top + Font.Head.Height + 8;
        _tops = new double[_heights.Length + 1];
        for (int i = 0; i < _heights.Length; i++)
        {
            _tops[i] = y;
            y += _heights[i];
        }

        _tops[^1] = y;
        for (int i = 0; i < _heights.Length; i++)
        {
            DrawBand(scene, columns, i);
        }

        DrawBrackets(scene, columns);
        scene.Blocks.Add(new Block(new Box(columns.SpaceX, _tops[0], Columns.SpaceWidth, y - _tops[0]), "frame"));
        scene.Write(Columns.Margin, y + 1, columns.AddressWidth, Addresses[^1], Font.Small, "soft", right: true);
        return y + 1 + Font.Small.Height;
    }

    private static double Height(Cell cell, double perBit, ulong least, double unlabelled)
    {
        if (cell.IsFree)
        {
            return cell.Size >= least ? LineHeight : unlabelled;
        }

        return LineHeight + perBit * Math.Max(0, BitOperations.Log2(cell.Size) - 12);
    }

    private static string Hex(ulong value) => string.Create(CultureInfo.InvariantCulture, $"0x{value:x}");

    private bool IsLabelled(int index) => _heights[index] >= LineHeight;

    private void DrawBand(Scene scene, Columns columns, int index)
    {
        Cell cell = _bands.Cells[index];
        double top = _tops[index];
        double height = _heights[index];
        Box space = new(columns.SpaceX, top, Columns.SpaceWidth, height);
        string range = $"{Hex(cell.Start)}-{Hex(cell.End - 1)}";
        scene.Blocks.Add(new Block(space, Style(cell.Kind), cell.Group is null ? $"{cell.Name}: {range}, {Spellings.Approximate(cell.Size)}" : null));
        if (cell.Group is { } group)
        {
            DrawBars(scene, columns, group, top, height);
        }

        if (!IsLabelled(index))
        {
            return;
        }

        scene.Strokes.Add(new Stroke([(columns.SpaceX - 5, top), (columns.SpaceX, top)], "tick"));
        scene.Write(Columns.Margin, top, columns.AddressWidth, Hex(cell.Start), Font.Small, cell.IsFree ? "soft" : "text", right: true);
        if (cell.IsFree)
        {
            DrawBreak(scene, space);
        }

        DrawLine(scene, columns, cell, top + (height - Font.Row.Height) / 2);
    }

    private void DrawLine(Scene scene, Columns columns, Cell cell, double y)
    {
        LineText line = Spellings.Line(cell, _withSegment);
        string style = cell.IsFree ? "soft" : "text";
        double middle = y + Font.Row.Height / 2;
        if (cell.Kind is CellKind.Bars)
        {
            scene.Strokes.Add(new Stroke([(columns.BarX + Columns.BarWidth, middle), (columns.TextX[0] - 4, middle)], "lead"));
        }
        else if (cell.Kind is CellKind.Ram or CellKind.Ecam or CellKind.Reserved)
        {
            scene.Strokes.Add(new Stroke([(columns.SpaceX + Columns.SpaceWidth, middle), (columns.TextX[0] - 4, middle)], "lead dots"));
        }

        if (line.Span is { } span)
        {
            scene.Write(columns.TextX[0], y, columns.TextX[LineText.SizeColumn] - 8 - columns.TextX[0], span, Font.Row, style);
        }

        for (int i = 0; i < LineText.Columns; i++)
        {
            string text = line.Cells[i];
            string cellStyle = i == LineText.HostColumn && text.StartsWith("not", StringComparison.Ordinal) ? "warn" : i is 0 or LineText.SizeColumn
                ? style : "soft";
            scene.Write(columns.TextX[i], y, columns.TextWidth[i], text, Font.Row, cellStyle, right: i == LineText.SizeColumn);
        }
    }

    // A group shows as many of its BARs as there is room for, spread over all of them.
    private void DrawBars(Scene scene, Columns columns, BarGroup group, double top, double height)
    {
        int count = group.Bars.Count;
        int slots = Math.Clamp((int)(height / SlotHeight), 1, count);
        double each = (height - 1) / slots;
        for (int i = 0; i < slots; i++)
        {
            BarRow row = group.Bars[(int)((long)i * count / slots)];
            Box box = new(columns.BarX, top + i * each, Columns.BarWidth, Math.Max(each - (slots > 1 ? 0.6 : 0), 1));
            scene.Blocks.Add(new Block(box, $"bar {row.Bar.Demand.Kind.Keyword()}", Spellings.Tip(row, _withSegment)));
            if (row.IsPinned)
            {
                scene.Blocks.Add(new Block(box with { Width = 6 }, "pin"));
            }
        }
    }

    private static void DrawBreak(Scene scene, Box space)
    {
        const int Teeth = 8;
        double middle = space.Y + space.Height / 2;
        List<(double, double)> points = [];
        for (int i = 0; i <= Teeth; i++)
        {
            points.Add((space.X + space.Width * i / Teeth, middle + (i % 2 == 0 ? 3 : -3)));
        }

        scene.Strokes.Add(new Stroke(points, "break"));
    }

    private void DrawBrackets(Scene scene, Columns columns)
    {
        double[] written = new double[columns.BracketColumns];
        foreach (Bracket bracket in _bands.Brackets.OrderBy(b => b.Depth).ThenBy(b => b.Range))
        {
            double top = Y(bracket.Range.Start.Value);
            double bottom = Y(bracket.Range.Start.Value + bracket.Range.Size);
            Box box = columns.Bracket(bracket.Depth, top, bottom - (bottom - top > 3 ? 1 : 0));
            if (box.Height < 1)
            {
                continue;
            }

            scene.Blocks.Add(new Block(box, bracket.Depth == 0 ? "host" : "bridge", $"{bracket.Name} window: {bracket.Range}"));
            int column = Math.Min(bracket.Depth, columns.BracketColumns - 1);
            if (column == bracket.Depth && box.Y >= written[column])
            {
                written[column] = scene.WriteUpwards(box, bracket.Name, Font.Side, "side") || scene.WriteUpwards(box, bracket.Owner, Font.Side, "side")
                    ? box.Bottom
                    : written[column];
            }
        }
    }

    /// <summary>Where an address is; inside a group, BARs count and not bytes.</summary>
    private double Y(ulong address)
    {
        int low = 0;
        int high = _bands.Cells.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            (low, high) = _bands.Cells[middle].Start <= address ? (middle, high) : (low, middle - 1);
        }

        Cell cell = _bands.Cells[low];
        if (address >= cell.End)
        {
            return _tops[^1];
        }

        double part = cell.Group is { } group
            ? (double)group.Bars.Count(b => b.Bar.Range.Start.Value < address) / group.Bars.Count
            : (double)(address - cell.Start) / cell.Size;
        return _tops[low] + part * _heights[low];
    }

    private static string Style(CellKind kind) => kind switch
    {
        CellKind.Ram => "ram",
        CellKind.Ecam => "ecam",
        CellKind.Reserved => "reserved",
        CellKind.Bars or CellKind.Window or CellKind.BridgeWindow => "window",
        CellKind.Hole => "hole",
        _ => "free",
    };
}
