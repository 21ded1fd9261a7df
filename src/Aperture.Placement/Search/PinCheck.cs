using Aperture.Placement.Map;

namespace Aperture.Placement.Search;

/// <summary>Checks all pins together: each against the platform, BAR against BAR, and the windows that pins force against all else.</summary>
internal sealed class PinCheck
{
    // Looking for the nearest place costs a walk over all that is pinned; a request that is wrong throughout gets it for the first ones.
    private const int MostSearches = 32;
    private const int MostConflicts = 100;

    private readonly BlockTree _tree;
    private readonly Arenas _arenas;
    private readonly Arenas _widest;
    private readonly List<PlacementConflict> _conflicts = [];
    private readonly HashSet<FunctionNode> _involved = [];

    private PinCheck(BlockTree tree, Arenas arenas, Arenas widest) => (_tree, _arenas, _widest) = (tree, arenas, widest);

    /// <summary>The conflicts, and the functions that other choices for their bridges might help.</summary>
    public static (List<PlacementConflict> Conflicts, IReadOnlySet<FunctionNode> Involved) Run(
        BlockTree tree, Arenas arenas, Arenas widest, IReadOnlyDictionary<BarSpec, PinFault> faults)
    {
        PinCheck check = new(tree, arenas, widest);
        List<BarBlock> sound = [];
        foreach (BarBlock bar in tree.Bars)
        {
            if (bar.Spec.Pin is not null && faults.TryGetValue(bar.Spec, out PinFault? fault))
            {
                check.Report(bar, fault);
            }
            else if (!bar.Floats)
            {
                sound.Add(bar);
            }
        }

        check.Overlaps(sound.Where(bar => bar.Spec.Kind == Pci.BarKind.Io));
        check.Overlaps(sound.Where(bar => bar.Spec.Kind != Pci.BarKind.Io));
        if (check._conflicts.Count > 0)
        {
            // No choice for a bridge moves a pinned BAR.
            check._involved.Clear();
        }
        else
        {
            foreach (ArenaKind kind in Enum.GetValues<ArenaKind>())
            {
                check.Windows(tree.Root(kind), null, arenas[kind]);
            }
        }

        return (check._conflicts, check._involved);
    }

    /// <summary>Finds pinned BARs that share bytes. One finding for each BAR suffices, so a stack of open ones does.</summary>
    private void Overlaps(IEnumerable<BarBlock> bars)
    {
        Stack<BarBlock> open = new();
        List<(BarBlock Later, BarBlock Earlier)> pairs = [];
        foreach (BarBlock bar in bars.OrderBy(bar => bar.Forced.Start).ThenByDescending(bar => bar.Forced.End))
        {
            while (open.TryPeek(out BarBlock? top) && top.Forced.End <= bar.Forced.Start)
            {
                open.Pop();
            }

            if (open.TryPeek(out BarBlock? under))
            {
                pairs.Add(IsAfter(bar, under) ? (bar, under) : (under, bar));
            }

            open.Push(bar);
        }

        foreach ((BarBlock later, BarBlock earlier) in pairs.OrderBy(pair => pair.Later.Node.Order).ThenBy(pair => pair.Later.Spec.Index)
            .DistinctBy(pair => pair.Later))
        {
            Report(later, new PinFault(
                PlacementConflictKind.Overlap, $"it overlaps {earlier.Name} at {earlier.Forced}", earlier.Party(earlier.Forced)));
        }
    }

    /// <summary>
    /// Checks the windows that pins force on one bus and below: against each other, against pinned BARs beside them, against a pinned window around them,
    /// and on the root bus against the platform.
    /// </summary>
    private void Windows(IReadOnlyList<Block> children, WindowBlock? around, Arena? arena)
    {
        List<Block> forced = [.. children.Where(child => !child.Floats).OrderBy(child => child.Forced.Start).ThenBy(child => child.Node.Order)];
        Block? widest = null;
        foreach (Block block in forced)
        {
            if (arena is not null && block is WindowBlock top)
            {
                AgainstPlatform(top, arena);
            }

            if (around is { IsPinned: true } && !around.Forced.Contains(block.Forced))
            {
                ReportOutside(block, around);
            }

            if (widest is not null && widest.Forced.End > block.Forced.Start)
            {
                ReportNeighbours(widest, block);
            }

            widest = widest is null || block.Forced.End > widest.Forced.End ? block : widest;
        }

        foreach (Block child in forced)
        {
            if (child is WindowBlock window)
            {
                Windows(window.Children, window, null);
            }
        }
    }

    private void AgainstPlatform(WindowBlock window, Arena arena)
    {
        int host = window.Node.Host;
        if (arena.Blocking(window.Forced) is { } taken)
        {
            ReportWindow(window, $"overlaps {taken.Origin} at {taken.Extent}", taken.Party);
        }
        else if (!arena.BoundsOf(host).Any(bound => bound.Contains(window.Forced)))
        {
            string reason = arena.BoundsAreSet || arena.IsSet(host) || arena.Kind != ArenaKind.Low
                ? $"is not inside {arena.Name} {arena.BoundsText(host)}"
                : $"overlaps guest RAM, of which everything below 0x{_arenas.HoleStart:x} stays where it is";
            ReportWindow(window, reason, new ConflictParty(arena.Name));
        }
    }

    private void ReportOutside(Block block, WindowBlock around)
    {
        string reason = $"is not inside {around.Name}, which is pinned at {around.Forced}";
        if (block is WindowBlock window)
        {
            ReportWindow(window, reason, around.Party(around.Forced));
        }
        else
        {
            Report((BarBlock)block, new PinFault(PlacementConflictKind.BridgeWindow, $"it {reason}", around.Party(around.Forced)));
        }
    }

    private void ReportNeighbours(Block left, Block right)
    {
        bool rightIsLater = right.Node.Order > left.Node.Order;
        (Block first, Block second) = rightIsLater ? (left, right) : (right, left);
        if (first is BarBlock && second is BarBlock)
        {
            // Two pinned BARs were compared before.
            return;
        }

        (WindowBlock window, Block other) = second is WindowBlock later ? (later, first) : ((WindowBlock)first, second);
        BarBlock? inside = other is WindowBlock otherWindow ? otherWindow.PinnedBars().MinBy(bar => bar.Node.Order) : null;
        string what = inside is null ? $"{other.Name} at {other.Forced}" : $"{other.Name} at {other.Forced}, which holds {inside.Name}";
        _involved.Add(other.Node);
        ReportWindow(window, $"overlaps {what}", other.Party(other.Forced));
    }

    /// <summary>
    /// Blames one of the pins at the window's two ends: the one that has somewhere else to go, the later one first. A pinned window is to blame itself.
    /// </summary>
    private void ReportWindow(WindowBlock window, string reason, ConflictParty obstacle)
    {
        List<BarBlock> pinned = [.. window.PinnedBars()];
        if (window.IsPinned || pinned.Count == 0)
        {
            WindowBlock to = window.PinnedWindows().Last();
            string over = to == window ? "it" : $"it puts {window.Name} at {window.Forced}, which";
            _involved.Add(to.Node);
            Add(new PlacementConflict(
                PlacementConflictKind.BridgeWindow, to.Party(to.Forced), $"{to.Name} cannot be pinned at {to.Forced}: {over} {reason}")
            {
                Obstacle = obstacle,
            });
            return;
        }

        BarBlock lowest = pinned.MinBy(bar => bar.Forced.Start)!;
        BarBlock highest = pinned.MaxBy(bar => bar.Forced.End)!;
        (BarBlock first, BarBlock second) = IsAfter(lowest, highest) ? (lowest, highest) : (highest, lowest);
        BarBlock blamed = HasPlace(first) || !HasPlace(second) ? first : second;
        BarBlock partner = blamed == first ? second : first;
        string text = partner == blamed
            ? $"{window.Name} that must hold it, {window.Forced}, {reason}"
            : $"with {partner.Name} at 0x{partner.Forced.Start:x} it stretches {window.Name} over {window.Forced}, which {reason}";
        Report(blamed, new PinFault(PlacementConflictKind.BridgeWindow, text, obstacle));
    }

    private void Add(PlacementConflict conflict)
    {
        if (_conflicts.Count < MostConflicts)
        {
            _conflicts.Add(conflict);
        }
    }

    private bool HasPlace(BarBlock bar) => Nearest(bar) is { } place && (place.Below ?? place.Above) is not null;

    /// <summary>The nearest places, or null when enough were looked for.</summary>
    private NearestPlace? Nearest(BarBlock bar)
    {
        if (_conflicts.Count >= MostSearches)
        {
            return null;
        }

        ArenaKind kind = bar.Arena;

        // Low RAM would move for another pin, so the search for one may look below the present hole.
        Arena arena = kind == ArenaKind.Low ? _widest.Low : _arenas[kind];
        return NearestPlace.Find(bar, bar.Spec.Pin!.Value, arena, _tree.Root(kind));
    }

    private void Report(BarBlock bar, PinFault fault)
    {
        BarSpec spec = bar.Spec;
        _involved.Add(bar.Node);
        GuestAddress pin = spec.Pin!.Value;
        NearestPlace? nearest = Nearest(bar);
        AddressRange? range = AddressRange.Fits(pin, spec.Size) ? new AddressRange(pin, spec.Size) : null;
        string near = nearest is { } place ? $"; {place.Text(pin)}" : "";
        Add(new PlacementConflict(
            fault.Kind,
            spec.Party(range),
            $"{spec.LongName} cannot be pinned at {pin}: {fault.Reason}{near}")
        {
            Obstacle = fault.Obstacle,
            NearestBelow = nearest?.Below,
            NearestAbove = nearest?.Above,
        });
    }

    private static bool IsAfter(BarBlock bar, BarBlock other) =>
        bar.Node.Order != other.Node.Order ? bar.Node.Order > other.Node.Order : bar.Spec.Index > other.Spec.Index;
}
