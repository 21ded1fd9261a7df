using Aperture.Pci;

namespace Aperture.Report.Svg;

/// <summary>The key to the colours: only what the picture has.</summary>
internal static class Legend
{
    private const double Swatch = 12;
    private const double LineHeight = 20;

    /// <summary>Draws from <paramref name="top"/> down; the result is the lower edge.</summary>
    public static double Draw(Scene scene, double right, double top, IReadOnlySet<CellKind> kinds, IReadOnlyList<BarRow> bars)
    {
        double x = Columns.Margin;
        double y = top;
        foreach ((string style, string text) in Entries(kinds, bars))
        {
            double width = Swatch + 6 + Font.Small.Width(text);
            if (x + width > right && x > Columns.Margin)
            {
                x = Columns.Margin;
                y += LineHeight;
            }

            Box swatch = new(x, y + 1, Swatch, Swatch);
            scene.Blocks.Add(new Block(swatch, style));
            scene.Blocks.Add(new Block(swatch, "edge"));
            scene.Write(x + Swatch + 6, y, right - x - Swatch - 6, text, Font.Small, "text");
            x += width + 18;
        }

        return y + LineHeight;
    }

    private static IEnumerable<(string Style, string Text)> Entries(IReadOnlySet<CellKind> kinds, IReadOnlyList<BarRow> bars)
    {
        (CellKind Kind, string Style, string Text)[] ranges =
        [
            (CellKind.Ram, "ram", "RAM"),
            (CellKind.Ecam, "ecam", "ECAM"),
            (CellKind.Reserved, "reserved", "reserved"),
            (CellKind.Hole, "hole", "low hole outside windows"),
            (CellKind.Free, "free", "nothing"),
            (CellKind.Window, "window", "in a host bridge window"),
        ];
        foreach ((CellKind kind, string style, string text) in ranges)
        {
            if (kinds.Contains(kind) || (kind == CellKind.Window && kinds.Contains(CellKind.Bars)))
            {
                yield return (style, text);
            }
        }

        if (kinds.Contains(CellKind.Bars))
        {
            yield return ("host", "host bridge window");
        }

        if (bars.Any(b => b.Bridges.Count > 0))
        {
            yield return ("bridge", "bridge window");
        }

        foreach (BarKind kind in bars.Select(b => b.Bar.Demand.Kind).Distinct().Order())
        {
            yield return ($"bar {kind.Keyword()}", Meaning(kind));
        }

        if (bars.Any(b => b.IsPinned))
        {
            yield return ("pin", "pinned");
        }
    }

    private static string Meaning(BarKind kind) => kind switch
    {
        BarKind.Io => "io: I/O ports",
        BarKind.Memory32 => "mem32: 32-bit",
        BarKind.Memory32Prefetchable => "mem32p: 32-bit prefetchable",
        BarKind.Memory64 => "mem64: 64-bit",
        BarKind.Memory64Prefetchable => "mem64p: 64-bit prefetchable",
        _ => "rom: expansion ROM",
    };
}
