using System.Text;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Placement.Tests;

/// <summary>A map as plain text, one line for each thing; stable, so that maps can be compared across versions.</summary>
internal static class PlacementMapText
{
    /// <summary>Writes the whole map, lines ended by <c>\n</c>.</summary>
    public static string Format(PlacementMap map)
    {
        StringBuilder text = new();
        text.Append($"layout {map.LayoutVersion}\n");
        text.Append($"ram {map.Ram.Low} {(map.Ram.High.IsEmpty ? "none" : map.Ram.High.ToString())} hole {map.Ram.LowHoleStart}\n");
        foreach (AddressRange piece in map.Ram.LowPieces.Skip(1).Concat(map.Ram.HighPieces.Skip(1)))
        {
            text.Append($"  more ram {piece}\n");
        }

        text.Append($"ecam {map.Ecam?.ToString() ?? "none"}\n");
        foreach (EcamPlacement ecam in map.Ecams.Skip(1))
        {
            text.Append($"  segment {ecam.Segment} ecam {ecam.Range}\n");
        }

        foreach (HostBridgePlacement bridge in map.HostBridges)
        {
            text.Append($"host {bridge.Name} segment {bridge.Segment} buses {bridge.FirstBus:x2}-{bridge.LastBus:x2}\n");
            Windows(text, "io", bridge.IoWindows);
            Windows(text, "mem32", bridge.Mmio32Windows);
            Windows(text, "mem64", bridge.Mmio64Windows);
        }

        foreach (FunctionPlacement function in map.Functions)
        {
            text.Append($"{function.Address} {function.Name}\n");
            if (function.Bridge is { } behind)
            {
                text.Append($"  buses {behind.Primary:x2} {behind.Secondary:x2} {behind.Subordinate:x2}");
                text.Append($" io {behind.Io?.ToString() ?? "closed"} mem {behind.Memory?.ToString() ?? "closed"} pref "
                    + $"{behind.Prefetchable?.ToString() ?? "closed"}\n");
            }

            foreach (BarPlacement bar in function.Bars)
            {
                text.Append($"  {BarIndex.Name(bar.Demand.Index)} {bar.Demand.Kind.Keyword()} {ByteSize.Format(bar.Size)} {bar.Range} {bar.Why.Kind}: "
                    + $"{bar.Why.Text}\n");
            }
        }

        return text.ToString();
    }

    private static void Windows(StringBuilder text, string name, IReadOnlyList<AddressRange> windows) =>
        text.Append($"  {name} {(windows.Count == 0 ? "none" : string.Join(' ', windows))}\n");
}
