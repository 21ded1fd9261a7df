using System.Diagnostics.CodeAnalysis;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.Placement.Search;

namespace Aperture.Placement.Reasons;

/// <summary>Answers "why there?" for one BAR of a map, from the map alone.</summary>
public static class PlacementExplainer
{
    /// <summary>
    /// A few lines about BAR <paramref name="index"/> (as <see cref="BarIndex"/> numbers them) of <paramref name="function"/>: what and where it is, the
    /// rule that decided, its alignment, the windows around it from the inside out, its neighbours. False when the map has no such BAR.
    /// </summary>
    public static bool TryExplain(PlacementMap map, string function, int index, [NotNullWhen(true)] out IReadOnlyList<string>? lines)
    {
        ArgumentNullException.ThrowIfNull(map);
        lines = null;
        if (!map.TryGetFunction(function, out FunctionPlacement? placed) || placed.Bar(index) is not { } bar)
        {
            return false;
        }

        List<FunctionPlacement> path = [];
        HostBridgePlacement host = map.HostBridges.First(bridge => FindPath(bridge.Functions, placed, path));
        List<string> text =
        [
            $"{placed.Name} {BarIndex.Name(index)} ({bar.Demand.Kind.Keyword()}, {SizeText(bar)}) of {Segment(host)}{placed.Address} is at {bar.Range}",
            $"rule: {bar.Why.Text}",
            $"alignment: {bar.Address} is a multiple of {ByteSize.Format(bar.Size)}{(bar.Demand.Pin is null ? "" : ", as the pin must be")}",
        ];
        if (bar.Demand.ResizableSizes.Count > 0)
        {
            string taken = bar.Size == bar.Demand.Size ? "as asked" : $"{ByteSize.Format(bar.Demand.Size)} was asked and did not fit";
            text.Add($"resizable: {ByteSize.Format(bar.Size)} of {string.Join(", ", bar.Demand.ResizableSizes.Order().Select(ByteSize.Format))}; {taken}");
        }

        text.AddRange(Windows(host, path, bar));
        text.AddRange(Neighbours(map, host, path, placed, bar));
        lines = text;
        return true;
    }

    private static string SizeText(BarPlacement bar) =>
        bar.Range.Size == bar.Size ? ByteSize.Format(bar.Size) : $"{bar.Range.Size / bar.Size} VFs of {ByteSize.Format(bar.Size)}";

    private static string Segment(HostBridgePlacement host) => host.Segment == 0 ? "" : $"{host.Segment:x4}:";

    /// <summary>The bridges from the root bus down to the one above <paramref name="wanted"/>.</summary>
    private static bool FindPath(IReadOnlyList<FunctionPlacement> functions, FunctionPlacement wanted, List<FunctionPlacement> path)
    {
        foreach (FunctionPlacement function in functions)
        {
            if (ReferenceEquals(function, wanted))
            {
                return true;
            }

            if (function.Bridge is { } bridge)
            {
                path.Add(function);
                if (FindPath(bridge.Functions, wanted, path))
                {
                    return true;
                }

                path.RemoveAt(path.Count - 1);
            }
        }

        return false;
    }

    private static IEnumerable<string> Windows(HostBridgePlacement host, List<FunctionPlacement> path, BarPlacement bar)
    {
        foreach (FunctionPlacement bridge in Enumerable.Reverse(path))
        {
            if (Around(bridge, bar) is { } window)
            {
                string pinned = IsPinned(bridge, window.Kind) ? ", pinned there" : "";
                yield return $"window: {WindowBlock.NameOf(bridge.Name, window.Kind)}, {window.Range}{pinned}";
            }
        }

        foreach (AddressRange window in Forwarded(host, bar).Where(window => window.Contains(bar.Range)))
        {
            yield return $"window: {host.Name}, {window}";
        }
    }

    private static IEnumerable<AddressRange> Forwarded(HostBridgePlacement host, BarPlacement bar) =>
        bar.Demand.Kind == BarKind.Io ? host.IoWindows : bar.Address.Value >= PlatformLimits.FourGiB ? host.Mmio64Windows : host.Mmio32Windows;

    private static (WindowKind Kind, AddressRange Range)? Around(FunctionPlacement bridge, BarPlacement bar)
    {
        BridgePlacement behind = bridge.Bridge!;
        (WindowKind, AddressRange?)[] windows = bar.Demand.Kind == BarKind.Io
            ? [(WindowKind.Io, behind.Io)] : [(WindowKind.Memory, behind.Memory), (WindowKind.Prefetchable, behind.Prefetchable)];
        foreach ((WindowKind kind, AddressRange? range) in windows)
        {
            if (range is { } window && window.Contains(bar.Range))
            {
                return (kind, window);
            }
        }

        return null;
    }

    private static bool IsPinned(FunctionPlacement bridge, WindowKind kind) => bridge.Demand.Bridge is { } demand && kind switch
    {
        WindowKind.Io => demand.IoWindow,
        WindowKind.Memory => demand.MemoryWindow,
        _ => demand.PrefetchableWindow,
    } is not null;

    /// <summary>Who lies right below and right above on the same bus, with the room between.</summary>
    private static IEnumerable<string> Neighbours(
        PlacementMap map, HostBridgePlacement host, List<FunctionPlacement> path, FunctionPlacement placed, BarPlacement bar)
    {
        bool io = bar.Demand.Kind == BarKind.Io;
        IReadOnlyList<FunctionPlacement> bus = path.Count == 0 ? host.Functions : path[^1].Bridge!.Functions;
        List<(AddressRange Range, string Name)> others = [.. bus.SelectMany(function => Claims(function, io)).Where(claim => claim.Range != bar.Range)];
        if (path.Count == 0 && !io)
        {
            others.AddRange(map.Ram.Pieces.Select(piece => (piece, "guest RAM")));
            others.AddRange(map.Ecams.Select(ecam => (ecam.Range, "the ECAM range")));
        }

        (AddressRange Range, string Name)[] below = [.. others.Where(other => !other.Range.IsEmpty && other.Range.Last < bar.Address)];
        (AddressRange Range, string Name)[] above = [.. others.Where(other => other.Range.Start > bar.Range.Last)];
        if (below.Length > 0)
        {
            (AddressRange range, string name) = below.MaxBy(other => other.Range.Last);
            yield return $"below: {name} ends at {range.Last}, {Gap(bar.Address - range.Last - 1)}";
        }

        if (above.Length > 0)
        {
            (AddressRange range, string name) = above.MinBy(other => other.Range.Start);
            yield return $"above: {name} starts at {range.Start}, {Gap(range.Start - bar.Range.Last - 1)}";
        }
    }

    private static string Gap(ulong bytes) => bytes == 0 ? "with no gap" : $"{ByteSize.Format(bytes)} away";

    private static IEnumerable<(AddressRange Range, string Name)> Claims(FunctionPlacement function, bool io)
    {
        foreach (BarPlacement bar in function.Bars.Where(bar => bar.Demand.Kind == BarKind.Io == io))
        {
            yield return (bar.Range, $"{function.Name} {BarIndex.Name(bar.Demand.Index)}");
        }

        if (function.Bridge is not { } bridge)
        {
            yield break;
        }

        foreach ((WindowKind kind, AddressRange? window) in new[] { (WindowKind.Io, bridge.Io), (WindowKind.Memory, bridge.Memory),
            (WindowKind.Prefetchable, bridge.Prefetchable) })
        {
            if (window is { } range && kind == WindowKind.Io == io)
            {
                yield return (range, WindowBlock.NameOf(function.Name, kind));
            }
        }
    }
}
