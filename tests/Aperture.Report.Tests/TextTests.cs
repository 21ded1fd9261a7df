using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Report.Tests;

public class TextTests
{
    [Fact]
    public void The_table_has_one_line_for_each_bar_with_its_addresses_and_reason()
    {
        PlanReport report = Samples.Solved(20);
        string[] lines = TableRenderer.Render(report).Split('\n');
        foreach (FunctionPlacement function in report.Map.Functions)
        {
            foreach (BarPlacement bar in function.Bars)
            {
                string line = Assert.Single(lines, l => l.StartsWith($"{function.Address} ", StringComparison.Ordinal)
                    && l.Contains($" {BarIndex.Name(bar.Demand.Index)} ", StringComparison.Ordinal));
                Assert.Contains($" {bar.Range} ", line, StringComparison.Ordinal);
                Assert.EndsWith(bar.Why.Text, line, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void The_tables_columns_start_at_the_same_place_in_every_line()
    {
        string[] lines = TableRenderer.Render(Samples.Solved(5)).Split('\n');
        string[] bars = [.. lines.TakeWhile(l => l.Length > 0)];
        foreach (string heading in new[] { "NAME", "BAR", "KIND", "ADDRESSES", "WINDOW", "WHY" })
        {
            int column = bars[0].IndexOf(heading, StringComparison.Ordinal);
            Assert.All(bars, line => Assert.True(line[column] != ' ' && line[column - 1] == ' ', line));
        }
    }

    [Fact]
    public void A_name_with_control_characters_cannot_steer_the_terminal_or_add_a_line()
    {
        FunctionPlacement evil = Samples.Function("a\n\u001b[2Jb", 0, 2, Samples.Bar(0, BarKind.Memory32, 0xC000_0000, Samples.M));
        PlanReport report = Samples.HandMade();
        report = report with { Map = report.Map with { HostBridges = [report.Map.HostBridges[0] with { Functions = [evil] }] } };
        foreach (string text in new[] { TableRenderer.Render(report), TreeRenderer.Render(report) })
        {
            Assert.DoesNotContain(text, c => char.IsControl(c) && c != '\n');
            Assert.Contains("a??[2Jb", text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void The_tree_names_every_function_once_below_its_bridge()
    {
        PlanReport report = Samples.Solved(20);
        string[] lines = TreeRenderer.Render(report).Split('\n');
        int Indent(FunctionPlacement function) =>
            Assert.Single(lines, l => l.Contains($"- {function.Address}  {function.Name}", StringComparison.Ordinal)).IndexOf('-', StringComparison.Ordinal);

        void Walk(IReadOnlyList<FunctionPlacement> functions, int depth)
        {
            foreach (FunctionPlacement function in functions)
            {
                Assert.Equal(1 + (3 * depth), Indent(function));
                Walk(function.Bridge?.Functions ?? [], depth + 1);
            }
        }

        Walk(report.Map.HostBridges[0].Functions, 0);
    }

    [Fact]
    public void A_map_without_bars_is_printed_in_every_format()
    {
        PlanReport report = Samples.Solved(0);
        Assert.StartsWith("No function has a BAR.", TableRenderer.Render(report), StringComparison.Ordinal);
        Assert.StartsWith("pcie.0", TreeRenderer.Render(report), StringComparison.Ordinal);
        Assert.Contains("\"functions\": []", JsonRenderer.Render(report), StringComparison.Ordinal);
        Assert.Contains("RAM", SvgRenderer.Render(report), StringComparison.Ordinal);
    }
}
