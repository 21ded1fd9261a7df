using Aperture.Placement.Map;

namespace Aperture.Report.Svg;

/// <summary>What a run of addresses is.</summary>
internal enum CellKind
{
    /// <summary>Nothing and nobody's.</summary>
    Free,

    /// <summary>Part of the low hole that no window covers.</summary>
    Hole,

    /// <summary>A host bridge's window, unused.</summary>
    Window,

    /// <summary>A bridge's window, unused.</summary>
    BridgeWindow,

    /// <summary>Guest RAM.</summary>
    Ram,

    /// <summary>The memory-mapped configuration window.</summary>
    Ecam,

    /// <summary>A reserved range.</summary>
    Reserved,

    /// <summary>BARs.</summary>
    Bars,
}

/// <summary>One band of the picture: addresses from <paramref name="Start"/> up to <paramref name="End"/>, which is not in it.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Start">Its first address.</param>
/// <param name="End">The first address past it.</param>
/// <param name="Name">What to call it.</param>
internal sealed record Cell(CellKind Kind, ulong Start, ulong End, string Name)
{
    /// <summary>The BARs of a <see cref="CellKind.Bars"/> band.</summary>
    public BarGroup? Group { get; init; }

    public ulong Size => End - Start;

    public bool IsFree => Kind is CellKind.Free or CellKind.Hole or CellKind.Window or CellKind.BridgeWindow;
}

/// <summary>A bracket beside the bands: a host bridge's or a bridge's window.</summary>
/// <param name="Owner">The bridge.</param>
/// <param name="Name">The window's name, which starts with the bridge's.</param>
/// <param name="Range">Its addresses.</param>
/// <param name="Depth">0 for a host bridge, 1 for a bridge on its root bus, and so on.</param>
internal sealed record Bracket(string Owner, string Name, AddressRange Range, int Depth);

/// <summary>An address space cut into bands, with the brackets beside them.</summary>
internal sealed class AddressBands
{
    private AddressBands(List<Cell> cells, List<Bracket> brackets) => (Cells, Brackets) = (cells, brackets);

    /// <summary>The bands, ascending and without gaps.</summary>
    public IReadOnlyList<Cell> Cells { get; }

    /// <summary>The windows, each before those inside it.</summary>
    public IReadOnlyList<Bracket> Brackets { get; }

    /// <summary>The guest physical address space of <paramref name="report"/>, its BARs in at most <paramref name="most"/> bands.</summary>
    public static AddressBands Memory(PlanReport report, IReadOnlyList<BarRow> rows, int most)
    {
        PlacementMap map = report.Map;
        List<Cell> parts = [.. map.Ram.Pieces.Where(p => !p.IsEmpty).Select(p => Part(CellKind.Ram, p, "RAM"))];
        parts.AddRange(map.Ecams.Select(e => Part(CellKind.Ecam, e.Range, map.Ecams.Count == 1 ? "ECAM" : $"ECAM of segment {e.Segment}")));
        parts.AddRange(report.Request.Platform.Reserved.Where(r => !r.Range.IsEmpty).Select(r => Part(CellKind.Reserved, r.Range, r.Origin)));
        parts.Add(Part(CellKind.Hole, map.Ram.LowHole, "low hole, unused"));
        return Make(parts, map, BarGroup.Make(rows.Where(r => !r.IsIo), most), false, 1UL << Math.Min(report.Request.Platform.PhysicalAddressBits, 62));
    }

    /// <summary>The I/O ports of <paramref name="report"/>.</summary>
    public static AddressBands Ports(PlanReport report, IReadOnlyList<BarRow> rows, int most)
    {
        List<Cell> parts = [.. report.Request.Platform.ReservedIo.Where(r => !r.Range.IsEmpty).Select(r => Part(CellKind.Reserved, r.Range, r.Origin))];
        return Make(parts, report.Map, BarGroup.Make(rows.Where(r => r.IsIo), most), true, 0x1_0000);
    }

    private static Cell Part(CellKind kind, AddressRange range, string name) => new(kind, range.Start.Value, range.Start.Value + range.Size, name);

    private static AddressBands Make(List<Cell> parts, PlacementMap map, List<BarGroup> groups, bool io, ulong end)
    {
        List<Bracket> brackets = [];
        foreach (HostBridgePlacement host in map.HostBridges)
        {
            brackets.AddRange(Windows.Of(host).Where(w => w.IsIo == io).Select(w => new Bracket(host.Name, w.Name, w.Range, 0)));
            Collect(host.Functions, 1, io, brackets);
        }

        parts.AddRange(brackets.Select(b => Part(b.Depth == 0 ? CellKind.Window : CellKind.BridgeWindow, b.Range, $"{b.Name}, unused")));
        parts.AddRange(groups.Select(g => new Cell(CellKind.Bars, g.Start, g.End, "") { Group = g }));
        return new AddressBands(Cut([.. parts.Where(p => p.Start < p.End)], groups, end), brackets);
    }

    private static void Collect(IReadOnlyList<FunctionPlacement> functions, int depth, bool io, List<Bracket> brackets)
    {
        foreach (FunctionPlacement function in functions.Where(f => f.Bridge is not null))
        {
            brackets.AddRange(Windows.Of(function, io).Select(w => new Bracket(function.Name, w.Name, w.Range, depth)));
            Collect(function.Bridge!.Functions, depth + 1, io, brackets);
        }
    }

    // A sweep over all starts and ends; at each place the highest kind wins, and of equals the innermost (the shortest).
    private static List<Cell> Cut(List<Cell> parts, List<BarGroup> groups, ulong end)
    {
        SortedSet<ulong> edges = [0, end];
        foreach (Cell part in parts.Where(p => p.Start < end))
        {
            edges.Add(part.Start);
            edges.Add(Math.Min(part.End, end));
        }

        foreach (BarGroup group in groups.Where(g => g.Start < end))
        {
            edges.GetViewBetween(group.Start + 1, Math.Max(group.Start + 1, Math.Min(group.End, end) - 1)).Clear();
        }

        Cell[] starting = [.. parts.OrderBy(p => p.Start)];
        List<Cell> open = [];
        List<Cell> cells = [];
        int next = 0;
        ulong from = 0;
        foreach (ulong to in edges.Skip(1))
        {
            while (next < starting.Length && starting[next].Start <= from)
            {
                open.Add(starting[next++]);
            }

            open.RemoveAll(p => p.End <= from);
            Cell top = open.OrderByDescending(p => p.Kind).ThenBy(p => p.Size).FirstOrDefault() ?? new Cell(CellKind.Free, from, to, "free");
            cells.Add(top with { Start = from, End = to });
            from = to;
        }

        return cells;
    }
}
