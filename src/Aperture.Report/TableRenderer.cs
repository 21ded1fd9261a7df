using System.Globalization;
using System.Text;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;
using Aperture.Placement.Search;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Report;

/// <summary>A map as plain text in columns: every BAR, then the address space around them.</summary>
public static class TableRenderer
{
    /// <summary>The whole text, lines ended by <c>\n</c>.</summary>
    public static string Render(PlanReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        StringBuilder text = new();
        Bars(text, report);
        Spaces(text.Append('\n'), report);
        if (report.Peers.Count > 0)
        {
            Peers(text.Append('\n'), report);
        }

        Metrics(text.Append('\n'), report);
        Spelling.Notes(text, report);
        return text.ToString();
    }

    private static void Bars(StringBuilder text, PlanReport report)
    {
        List<BarRow> rows = BarRow.All(report);
        if (rows.Count == 0)
        {
            text.Append("No function has a BAR.\n");
            return;
        }

        bool segments = Spelling.NeedsSegment(report.Map);
        TextTable table = new("FUNCTION", "NAME", "BAR", "KIND", ">SIZE", "ADDRESSES", "WINDOW", "HOST", "WHY");
        foreach (BarRow row in rows)
        {
            table.Add(
                Spelling.Address(row.HostBridge, row.Function.Address, segments),
                row.Function.Name,
                row.BarName,
                row.Bar.Demand.Kind.Keyword(),
                row.Size,
                row.Bar.Range.ToString(),
                row.Window,
                row.Host is { } host ? host.Value == row.Bar.Address.Value ? "same" : host.ToString() : "",
                row.Bar.Why.Text);
        }

        table.Write(text);
    }

    private static void Spaces(StringBuilder text, PlanReport report)
    {
        PlacementMap map = report.Map;
        TextTable table = new("ADDRESSES", ">SIZE", "WHAT");
        void Add(AddressRange range, string what) => table.Add(range.ToString(), ByteSize.Format(range.Size), what);
        foreach (AddressRange piece in map.Ram.Pieces)
        {
            Add(piece, "RAM");
        }

        Add(map.Ram.LowHole, "the low hole");
        foreach (EcamPlacement ecam in map.Ecams)
        {
            Add(ecam.Range, string.Create(CultureInfo.InvariantCulture, $"ECAM of segment {ecam.Segment}"));
        }

        foreach (HostBridgePlacement host in map.HostBridges)
        {
            foreach (Window window in Windows.Of(host))
            {
                Add(window.Range, $"window {window.Name}");
            }
        }

        foreach (ReservedRange reserved in report.Request.Platform.Reserved.OrderBy(r => r.Range))
        {
            Add(reserved.Range, $"reserved: {reserved.Origin}");
        }

        foreach (ReservedRange reserved in report.Request.Platform.ReservedIo.OrderBy(r => r.Range))
        {
            Add(reserved.Range, $"reserved ports: {reserved.Origin}");
        }

        table.Write(text);
    }

    private static void Peers(StringBuilder text, PlanReport report)
    {
        TextTable table = new("FROM", "TO", "BAR", "ADDRESSES", "P2P", "WHY");
        foreach (PeerRow row in report.Peers)
        {
            table.Add(row.From, row.To, BarIndex.Name(row.Bar), row.Range.ToString(), row.Reaches switch { true => "yes", false => "no", null => "maybe" },
                row.Why);
        }

        table.Write(text);
        foreach (string path in report.Peers.Select(row => row.Path).Distinct())
        {
            text.Append(path).Append('\n');
        }
    }

    private static void Metrics(StringBuilder text, PlanReport report)
    {
        LayoutMetrics metrics = report.Map.Metrics;
        string gaps = metrics.Gaps == 0
            ? "no gaps"
            : string.Create(CultureInfo.InvariantCulture,
                $"{Plural(metrics.Gaps, "gap")}, the largest {ByteSize.Format(metrics.LargestGap.Size)} at {metrics.LargestGap}");
        string end = metrics.HighEnd.Value > 0 ? $", the last address {metrics.HighEnd - 1}" : "";
        text.Append(CultureInfo.InvariantCulture, $"Low hole: {ByteSize.Format(metrics.HoleSize)}, {ByteSize.Format(metrics.HoleUsed)} used, {gaps}.\n");
        text.Append(CultureInfo.InvariantCulture, $"From 4 GiB: {ByteSize.Format(metrics.HighUsed)} in BARs and bridge windows{end}.\n");
        text.Append(CultureInfo.InvariantCulture,
            $"{report.Request.Platform.PhysicalAddressBits} physical address bits, {Spelling.Plain(report.AddressBitsOrigin)}; layout version "
                + $"{report.Map.LayoutVersion}.\n");
    }

    internal static string Plural(int count, string noun) =>
        string.Create(CultureInfo.InvariantCulture, $"{count} {noun}{(count == 1 ? "" : "s")}");
}
