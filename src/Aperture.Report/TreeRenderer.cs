using System.Globalization;
using System.Text;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Report;

/// <summary>A map as the tree of its functions, with bus numbers, windows and BARs.</summary>
public static class TreeRenderer
{
    /// <summary>The whole text, lines ended by <c>\n</c>.</summary>
    public static string Render(PlanReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        StringBuilder text = new();
        foreach (HostBridgePlacement host in report.Map.HostBridges)
        {
            text.Append(CultureInfo.InvariantCulture, $"{Spelling.Plain(host.Name)}  segment {host.Segment:x4}, buses {host.FirstBus:x2}-{host.LastBus:x2}\n");
            List<string> notes = [.. Windows.Of(host).Select(Note)];
            Lines(text, "", notes, host.Functions.Count > 0);
            Functions(text, "", host.Functions);
        }

        Spelling.Notes(text, report);
        return text.ToString();
    }

    private static void Functions(StringBuilder text, string indent, IReadOnlyList<FunctionPlacement> functions)
    {
        for (int i = 0; i < functions.Count; i++)
        {
            FunctionPlacement function = functions[i];
            bool last = i == functions.Count - 1;
            string below = indent + (last ? "   " : "|  ");
            IReadOnlyList<FunctionPlacement> children = function.Bridge?.Functions ?? [];
            text.Append(indent).Append(last ? "`- " : "+- ")
                .Append(CultureInfo.InvariantCulture, $"{function.Address}  {Spelling.Plain(function.Name)}{Buses(function)}\n");
            Lines(text, below, [.. Notes(function)], children.Count > 0);
            Functions(text, below, children);
        }
    }

    private static IEnumerable<string> Notes(FunctionPlacement function)
    {
        foreach (Window window in Windows.Of(function, io: true).Concat(Windows.Of(function, io: false)))
        {
            yield return Note(window with { Name = window.Name[(function.Name.Length + 1)..] });
        }

        foreach (BarPlacement bar in function.Bars)
        {
            string pinned = bar.Why.Kind == PlacementReasonKind.Pinned ? "  pinned" : "";
            yield return $"{BarIndex.Name(bar.Demand.Index)}  {bar.Range}  {Spelling.Size(bar)} {bar.Demand.Kind.Keyword()}{pinned}";
        }
    }

    private static string Note(Window window) => $"{Spelling.Plain(window.Name)} window  {window.Range}  {ByteSize.Format(window.Range.Size)}";

    private static void Lines(StringBuilder text, string indent, List<string> lines, bool more)
    {
        foreach (string line in lines)
        {
            text.Append(indent).Append(more ? "|    " : "     ").Append(line).Append('\n');
        }
    }

    private static string Buses(FunctionPlacement function) => function.Bridge is { } bridge
        ? string.Create(CultureInfo.InvariantCulture,
            $"  -> bus {bridge.Secondary:x2}{(bridge.Subordinate == bridge.Secondary ? "" : $"-{bridge.Subordinate:x2}")}")
        : "";
}
