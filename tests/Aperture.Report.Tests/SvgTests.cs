using System.Xml.Linq;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Report.Svg;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Report.Tests;

public class SvgTests
{
    private static readonly XNamespace Svg = "http://www.w3.org/2000/svg";

    public static TheoryData<int> Sizes => [-1, 0, 1, 3, 8, 60, 200, 216];

    [Theory]
    [MemberData(nameof(Sizes))]
    public void No_label_overlaps_another_or_a_bar_and_all_are_inside_the_picture(int functions) =>
        Check(SceneBuilder.Build(functions < 0 ? Samples.HandMade() : Samples.Solved(functions)));

    [Fact]
    public void Labels_stay_apart_whatever_the_names_and_addresses_are()
    {
        Gen<PlanReport> reports = from seed in Gen.Choose(0, int.MaxValue)
                                  from count in Gen.Choose(0, 150)
                                  select RandomReport.Make(seed, count);
        Prop.ForAll(reports.ToArbitrary(), report =>
        {
            Check(SceneBuilder.Build(report));
            XDocument.Parse(SvgRenderer.Render(report));
        }).Holds(60);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    [InlineData(8)]
    public void A_small_map_shows_every_bar_on_a_line_with_its_address(int functions)
    {
        PlanReport report = functions < 0 ? Samples.HandMade() : Samples.Solved(functions);
        Scene scene = SceneBuilder.Build(report);
        bool segments = Spelling.NeedsSegment(report.Map);
        foreach (BarRow row in BarRow.All(report))
        {
            string function = Spelling.Address(row.HostBridge, row.Function.Address, segments);
            Block block = Assert.Single(
                scene.Blocks, b => b.Tip?.StartsWith($"{function} {Scene.Clean(row.Function.Name)} {row.BarName}:", StringComparison.Ordinal) ?? false);
            bool OnLine(Label label) => label.Box.Y >= block.Box.Y - 4 && label.Box.Bottom <= block.Box.Bottom + 4;
            Assert.Contains(scene.Labels, l => l.Text == function && OnLine(l));
            Assert.Contains(scene.Labels, l => l.Text == row.BarName && OnLine(l));
            Assert.Contains(scene.Labels, l => l.Text == row.Bar.Address.ToString() && OnLine(l));
            if (row.Host is { } host)
            {
                Assert.Contains(scene.Labels, l => l.Text == $"{(Spellings.IsSame(row) ? "=" : "not")} host {host}" && OnLine(l));
            }
        }
    }

    [Theory]
    [InlineData(60, 10)]
    [InlineData(200, 56)]
    [InlineData(200, 3)]
    public void Groups_hold_every_bar_once_in_order_and_are_few_enough(int functions, int most)
    {
        List<BarRow> rows = [.. BarRow.All(Samples.Solved(functions)).Where(r => !r.IsIo)];
        List<BarGroup> groups = BarGroup.Make(rows, most);
        Assert.InRange(groups.Count, 1, most);
        Assert.Equal([.. rows.Select(r => r.Bar.Range).Order()], [.. groups.SelectMany(g => g.Bars).Select(r => r.Bar.Range)]);
        Assert.All(groups, g => Assert.True(g.Start < g.End));
    }

    [Fact]
    public void A_group_never_crosses_a_host_bridge_window()
    {
        PlanReport report = Samples.Solved(200);
        AddressRange[] windows = [.. report.Map.HostBridges.SelectMany(h => h.Mmio32Windows.Concat(h.Mmio64Windows))];
        List<BarRow> rows = [.. BarRow.All(report).Where(r => !r.IsIo)];
        for (int most = 1; most < rows.Count; most++)
        {
            Assert.All(BarGroup.Make(rows, most), g => Assert.Single(windows, w => w.Contains(Samples.Range(g.Start, g.End - g.Start))));
        }
    }

    [Fact]
    public void Bands_cover_the_whole_space_without_gaps_and_each_is_what_the_map_says()
    {
        PlanReport report = Samples.HandMade();
        AddressBands bands = AddressBands.Memory(report, BarRow.All(report), 100);
        Assert.Equal(0UL, bands.Cells[0].Start);
        Assert.Equal(1UL << 47, bands.Cells[^1].End);
        Assert.All(bands.Cells.Zip(bands.Cells.Skip(1)), pair => Assert.Equal(pair.First.End, pair.Second.Start));
        CellKind At(ulong address) => bands.Cells.Single(c => c.Start <= address && address < c.End).Kind;
        Assert.Equal(CellKind.Ram, At(0));
        Assert.Equal(CellKind.Hole, At(2 * Samples.G));
        Assert.Equal(CellKind.Ecam, At(0xB000_0000));
        Assert.Equal(CellKind.Bars, At(0xC000_0000));
        Assert.Equal(CellKind.BridgeWindow, At(0xC10F_FFFF));
        Assert.Equal(CellKind.Window, At(0xC110_0000));
        Assert.Equal(CellKind.Reserved, At(0xFEE0_0000));
        Assert.Equal(CellKind.Ram, At(16 * Samples.G));
        Assert.Equal(CellKind.Ecam, At(0x8_0000_0000));
        Assert.Equal(CellKind.Reserved, At(0xFD_0000_0000));
        Assert.Equal(CellKind.Bars, At(0x6B8F_FFFF_FFFF));
        Assert.Equal(CellKind.Free, At(0x7F00_0000_0000));
    }

    [Fact]
    public void The_same_map_gives_the_same_picture() => Assert.Equal(SvgRenderer.Render(Samples.Solved(60)), SvgRenderer.Render(Samples.Solved(60)));

    [Fact]
    public void Names_are_escaped_and_what_xml_cannot_hold_is_replaced()
    {
        FunctionPlacement evil = Samples.Function("</text>&\"<\u0000\uD800\uFFFE", 0, 2, Samples.Bar(0, BarKind.Memory32, 0xC000_0000, Samples.M));
        PlanReport report = Samples.HandMade();
        report = report with { Map = report.Map with { HostBridges = [report.Map.HostBridges[0] with { Functions = [evil] }] } };
        XDocument picture = XDocument.Parse(SvgRenderer.Render(report));
        Assert.Contains(picture.Descendants(Svg + "text"), t => t.Value == "</text>&\"<\uFFFD\uFFFD\uFFFD");
    }

    [Fact]
    public void The_picture_needs_nothing_from_outside_and_has_colours_for_the_dark()
    {
        string text = SvgRenderer.Render(Samples.Solved(8));
        Assert.DoesNotContain("href", text, StringComparison.Ordinal);
        Assert.DoesNotContain("url(", text, StringComparison.Ordinal);
        Assert.DoesNotContain("<script", text, StringComparison.Ordinal);
        Assert.Contains("prefers-color-scheme: dark", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_style_that_is_drawn_is_in_the_style_sheet_and_in_the_key()
    {
        PlanReport report = Samples.HandMade();
        Scene scene = SceneBuilder.Build(report);
        string[] drawn = [.. scene.Blocks.Select(b => b.Style.Split(' ')[^1]).Distinct()];
        Assert.All(drawn, style => Assert.Contains($".{style} {{", StyleSheet.Text, StringComparison.Ordinal));
        string[] keyed = [.. scene.Blocks.Where(b => b.Box is { Width: 12, Height: 12 }).Select(b => b.Style.Split(' ')[^1])];
        Assert.Equal([.. drawn.Except(["frame"]).Order()], [.. keyed.Distinct().Order()]);
    }

    [Fact]
    public void Text_is_cut_to_its_width_with_an_ellipsis()
    {
        Assert.Equal("abc", Font.Row.Fit("abc", Font.Row.Width("abc")));
        Assert.Equal("abc...", Font.Row.Fit("abcdefghij", Font.Row.Width("abc...")));
        Assert.Equal("", Font.Row.Fit("abcdef", 10));
        Assert.Equal("", Font.Row.Fit("\U0001F600bcdefghij", Font.Row.Width("a...")));
    }

    [Theory]
    [InlineData(0, "0")]
    [InlineData(1023, "1023")]
    [InlineData(4096, "4K")]
    [InlineData(64UL << 30, "64G")]
    [InlineData(5UL << 28, "1.25G")]
    [InlineData(140737488355328, "128T")]
    [InlineData((64UL << 30) - (128UL << 10), "64G")]
    public void Sizes_are_short(ulong bytes, string text) => Assert.Equal(text, Spellings.Approximate(bytes));

    private static void Check(Scene scene)
    {
        Box picture = new(0, 0, scene.Width, scene.Height);
        Assert.All(scene.Blocks, block => Assert.True(picture.Contains(block.Box), $"{block} is outside"));
        Label[] labels = [.. scene.Labels.OrderBy(l => l.Box.Y)];
        for (int i = 0; i < labels.Length; i++)
        {
            Assert.True(picture.Contains(labels[i].Box), $"{labels[i]} is outside {picture}");
            for (int j = i + 1; j < labels.Length && labels[j].Box.Y < labels[i].Box.Bottom; j++)
            {
                Assert.False(labels[i].Box.Overlaps(labels[j].Box), $"{labels[i]} overlaps {labels[j]}");
            }

            // Only text that runs upwards lies on something: on its own bracket.
            Block? under = scene.Blocks.Find(
                b => b.Box.Overlaps(labels[i].Box) && !(labels[i].Rotated && b.Style is "host" or "bridge" && b.Box.Contains(labels[i].Box)));
            Assert.True(under is null, $"{labels[i]} lies on {under}");
        }
    }
}
