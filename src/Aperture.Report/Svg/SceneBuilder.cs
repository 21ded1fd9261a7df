using System.Globalization;
using Aperture.Placement.Map;

namespace Aperture.Report.Svg;

/// <summary>Arranges the whole picture: title, the address space, the ports, the key.</summary>
internal static class SceneBuilder
{
    /// <summary>The most lines that BARs get in each address space.</summary>
    public const int MostMemoryLines = 56;

    /// <summary>The same for ports.</summary>
    public const int MostPortLines = 20;

    public static Scene Build(PlanReport report)
    {
        List<BarRow> rows = BarRow.All(report);
        bool segments = Spelling.NeedsSegment(report.Map);
        List<Panel> panels = [new("Memory", AddressBands.Memory(report, rows, MostMemoryLines), segments)];
        if (rows.Any(r => r.IsIo))
        {
            panels.Add(new("I/O ports", AddressBands.Ports(report, rows, MostPortLines), segments));
        }

        Columns columns = Columns.For(panels.SelectMany(p => p.Addresses), [.. panels.SelectMany(p => p.Lines)], panels.Max(p => p.Depth));
        Scene scene = new() { Width = columns.Right + Columns.Margin };
        double y = Columns.Margin;
        double width = columns.Right - Columns.Margin;
        scene.Write(Columns.Margin, y, width, "Guest physical address space", Font.Title, "head");
        y += Font.Title.Height + 4;
        foreach (string line in Summary(report, rows))
        {
            scene.Write(Columns.Margin, y, width, line, Font.Small, "soft");
            y += Font.Small.Height + 2;
        }

        y += 14;
        foreach (Panel panel in panels)
        {
            y = panel.Draw(scene, columns, y) + 22;
        }

        HashSet<CellKind> kinds = [.. panels.SelectMany(p => p.Kinds)];
        scene.Height = Legend.Draw(scene, columns.Right, y, kinds, rows) + Columns.Margin - 4;
        return scene;
    }

    private static IEnumerable<string> Summary(PlanReport report, List<BarRow> rows)
    {
        PlacementMap map = report.Map;
        int functions = map.Functions.Count();
        ulong ram = map.Ram.Pieces.Aggregate(0UL, (sum, p) => sum + p.Size);
        yield return string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Request.Platform.PhysicalAddressBits} address bits, {Spellings.Approximate(ram)} RAM, {TableRenderer.Plural(functions, "function")}, "
                + $"{TableRenderer.Plural(rows.Count, "BAR")}, low hole {Spellings.Approximate(map.Metrics.HoleSize)}");
        yield return "A band's height grows with the logarithm of its size; zigzags are breaks";
    }
}
