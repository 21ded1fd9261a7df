using System.Globalization;
using System.Text;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Report;

/// <summary>One BAR of a map with everything that a renderer says of it.</summary>
/// <param name="HostBridge">The host bridge above.</param>
/// <param name="Bridges">The bridges above, from the root bus down; empty on the root bus.</param>
/// <param name="Function">The function it belongs to.</param>
/// <param name="Bar">The BAR.</param>
/// <param name="Host">The host's address for it, or null.</param>
internal sealed record BarRow(
    HostBridgePlacement HostBridge, IReadOnlyList<FunctionPlacement> Bridges, FunctionPlacement Function, BarPlacement Bar, HostPhysicalAddress? Host)
{
    /// <summary><c>bar2</c>, <c>rom</c>, <c>vf-bar0</c>.</summary>
    public string BarName => BarIndex.Name(Bar.Demand.Index);

    /// <summary>True when it takes I/O ports.</summary>
    public bool IsIo => Bar.Demand.Kind == BarKind.Io;

    /// <summary>True when the user asked for the address.</summary>
    public bool IsPinned => Bar.Why.Kind == PlacementReasonKind.Pinned;

    /// <summary>The size as people read it: <c>64G</c>, for a VF BAR <c>8 x 16K</c>.</summary>
    public string Size => Spelling.Size(Bar);

    /// <summary>
    /// The innermost window around it: <c>rp0 prefetchable</c>, <c>pcie.0 64-bit</c>; <c>none</c> when a window is missing, which a sound map never has.
    /// </summary>
    public string Window
    {
        get
        {
            for (int i = Bridges.Count - 1; i >= 0; i--)
            {
                if (Windows.Of(Bridges[i], IsIo).FirstOrDefault(w => w.Range.Contains(Bar.Range)) is { } window)
                {
                    return window.Name;
                }
            }

            return Windows.Of(HostBridge).FirstOrDefault(w => w.IsIo == IsIo && w.Range.Contains(Bar.Range))?.Name ?? "none";
        }
    }

    /// <summary>Every BAR of <paramref name="report"/>, in the map's order of functions.</summary>
    public static List<BarRow> All(PlanReport report)
    {
        Dictionary<(string, int), HostPhysicalAddress> origins = [];
        foreach (BarOrigin origin in report.Origins)
        {
            origins.TryAdd((origin.Function, origin.Bar), origin.Address);
        }

        List<BarRow> rows = [];
        void Walk(HostBridgePlacement host, IReadOnlyList<FunctionPlacement> path, IReadOnlyList<FunctionPlacement> functions)
        {
            foreach (FunctionPlacement function in functions)
            {
                rows.AddRange(function.Bars.Select(bar => new BarRow(
                    host, path, function, bar, origins.TryGetValue((function.Name, bar.Demand.Index), out HostPhysicalAddress address) ? address : null)));
                if (function.Bridge is { } bridge)
                {
                    Walk(host, [.. path, function], bridge.Functions);
                }
            }
        }

        foreach (HostBridgePlacement host in report.Map.HostBridges)
        {
            Walk(host, [], host.Functions);
        }

        return rows;
    }
}

/// <summary>A named run of addresses that a bridge forwards.</summary>
/// <param name="Name">As in <c>rp0 prefetchable</c>.</param>
/// <param name="Range">The addresses.</param>
/// <param name="IsIo">True for ports.</param>
internal sealed record Window(string Name, AddressRange Range, bool IsIo);

/// <summary>The windows of bridges, by name.</summary>
internal static class Windows
{
    /// <summary>A host bridge's windows: ports, 32-bit, 64-bit.</summary>
    public static IEnumerable<Window> Of(HostBridgePlacement host) =>
        host.IoWindows.Select(range => new Window($"{host.Name} I/O", range, true))
            .Concat(host.Mmio32Windows.Select(range => new Window($"{host.Name} 32-bit", range, false)))
            .Concat(host.Mmio64Windows.Select(range => new Window($"{host.Name} 64-bit", range, false)));

    /// <summary>A bridge's open windows, of ports or of memory; none for what is no bridge.</summary>
    public static IEnumerable<Window> Of(FunctionPlacement function, bool io)
    {
        if (function.Bridge is not { } bridge)
        {
            yield break;
        }

        if (io && bridge.Io is { } ports)
        {
            yield return new Window($"{function.Name} I/O", ports, true);
        }

        if (!io && bridge.Memory is { } memory)
        {
            yield return new Window($"{function.Name} memory", memory, false);
        }

        if (!io && bridge.Prefetchable is { } prefetchable)
        {
            yield return new Window($"{function.Name} prefetchable", prefetchable, false);
        }
    }
}

/// <summary>How names and addresses are spelled in every format.</summary>
internal static class Spelling
{
    /// <summary>True when functions need their segment in front: there is one besides segment 0.</summary>
    public static bool NeedsSegment(PlacementMap map) => map.HostBridges.Any(host => host.Segment != 0);

    /// <summary><c>01:00.0</c>, or with its segment <c>0001:01:00.0</c>, as lspci prints it.</summary>
    public static string Address(HostBridgePlacement host, Bdf function, bool withSegment) =>
        withSegment ? string.Create(CultureInfo.InvariantCulture, $"{host.Segment:x4}:{function}") : function.ToString();

    /// <summary>A BAR's size as people read it: <c>64G</c>, for a VF BAR <c>8 x 16K</c>.</summary>
    public static string Size(BarPlacement bar) => BarIndex.IsVf(bar.Demand.Index) && bar.Size != 0 && bar.Range.Size != bar.Size
        ? string.Create(CultureInfo.InvariantCulture, $"{bar.Range.Size / bar.Size} x {ByteSize.Format(bar.Size)}")
        : ByteSize.Format(bar.Range.Size);

    /// <summary>The report's notes as lines of text, with a blank line before them.</summary>
    public static void Notes(StringBuilder text, PlanReport report)
    {
        for (int i = 0; i < report.Notes.Count; i++)
        {
            text.Append(i == 0 ? "\n" : "").Append("Note: ").Append(Plain(report.Notes[i])).Append('\n');
        }
    }

    /// <summary>The text without what would end a line or steer a terminal.</summary>
    public static string Plain(string text)
    {
        if (!text.Any(char.IsControl))
        {
            return text;
        }

        StringBuilder plain = new(text);
        for (int i = 0; i < plain.Length; i++)
        {
            plain[i] = char.IsControl(plain[i]) ? '?' : plain[i];
        }

        return plain.ToString();
    }
}
