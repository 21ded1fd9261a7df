using System.Globalization;
using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Report.Svg;

/// <summary>The words beside the bands.</summary>
internal static class Spellings
{
    /// <summary>A size in three digits: <c>64G</c> where that is exact, else <c>1.25T</c>.</summary>
    public static string Approximate(ulong bytes)
    {
        const string Units = " KMGTPE";
        double value = bytes;
        int unit = 0;
        while (value >= 1000 && unit < Units.Length - 1 && !(value < 1024 && unit == 0))
        {
            value /= 1024;
            unit++;
        }

        string digits = value.ToString(value >= 100 ? "0" : value >= 10 ? "0.#" : "0.##", CultureInfo.InvariantCulture);
        return unit == 0 ? digits : digits + Units[unit];
    }

    /// <summary>The line for <paramref name="cell"/>.</summary>
    public static LineText Line(Cell cell, bool withSegment) =>
        cell.Group is { } group ? Line(group, withSegment) : LineText.Plain(cell.Name, cell.Size);

    /// <summary>What a viewer sees when the pointer rests on <paramref name="row"/>.</summary>
    public static string Tip(BarRow row, bool withSegment)
    {
        string host = row.Host is { } address ? $", host {address}" : "";
        return $"{Spelling.Address(row.HostBridge, row.Function.Address, withSegment)} {row.Function.Name} {row.BarName}: {row.Bar.Range}, "
            + $"{row.Size} {row.Bar.Demand.Kind.Keyword()}{host}; {row.Bar.Why.Text}";
    }

    private static LineText Line(BarGroup group, bool withSegment)
    {
        IReadOnlyList<BarRow> bars = group.Bars;
        BarRow first = bars[0];
        if (bars.Count == 1)
        {
            return new LineText(
                [
                    Spelling.Address(first.HostBridge, first.Function.Address, withSegment), first.Function.Name, first.BarName, first.Size,
                    first.Bar.Demand.Kind.Keyword(), first.IsPinned ? "pinned" : "", Host(bars),
                ],
                null);
        }

        List<FunctionPlacement> functions =
            [.. bars.Select(b => b.Function).Distinct(ReferenceEqualityComparer.Instance).Cast<FunctionPlacement>().OrderBy(f => f.Address)];
        string from = Spelling.Address(first.HostBridge, functions[0].Address, withSegment);
        bool oneFunction = functions.Count == 1;
        int pinned = bars.Count(b => b.IsPinned);
        return new LineText(
            [
                oneFunction ? from : $"{from} to {functions[^1].Address}",
                oneFunction ? functions[0].Name : $"{functions.Count} functions",
                bars.All(b => b.BarName == first.BarName) && bars.Count == functions.Count ? first.BarName : $"{bars.Count} BARs",
                Sizes(bars),
                bars.All(b => b.Bar.Demand.Kind == first.Bar.Demand.Kind) ? first.Bar.Demand.Kind.Keyword() : "mixed",
                pinned == 0 ? "" : pinned == bars.Count ? "pinned" : $"{pinned} pinned",
                Host(bars),
            ],
            null);
    }

    private static string Sizes(IReadOnlyList<BarRow> bars)
    {
        ulong size = bars[0].Bar.Range.Size;
        return bars.All(b => b.Bar.Range.Size == size)
            ? $"{bars.Count} x {Approximate(size)}"
            : Approximate(bars.Aggregate(0UL, (sum, b) => sum + b.Bar.Range.Size));
    }

    private static string Host(IReadOnlyList<BarRow> bars)
    {
        List<BarRow> known = [.. bars.Where(b => b.Host is not null)];
        int same = known.Count(IsSame);
        if (known.Count == 0)
        {
            return "";
        }

        return bars.Count == 1
            ? $"{(same == 1 ? "=" : "not")} host {known[0].Host}"
            : same == known.Count ? $"= host, {same} of {bars.Count}" : $"not host, {known.Count - same} of {bars.Count}";
    }

    /// <summary>True when the guest has the BAR where the host has it.</summary>
    public static bool IsSame(BarRow row) => row.Host is { } host && host.Value == row.Bar.Address.Value;
}
