using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>
/// One try at a layout, with the automatic 32-bit space starting at a given address. What floats goes where automatic placement goes, or, when room is
/// short, <i>everywhere</i> that a pin may lie, with RAM ending at any MiB.
/// </summary>
internal sealed class Attempt
{
    private readonly Ground _ground;
    private readonly Topology _topology;
    private readonly SearchBudget _budget;
    private readonly ulong _automaticStart;
    private readonly bool _everywhere;
    private readonly ulong _lowest;
    private readonly Dictionary<BarSpec, PinFault> _faults = [];
    private readonly List<Extent> _ramPins = [];
    private readonly Extent?[] _ecams;
    private Arenas _arenas;

    private Attempt(Ground ground, Topology topology, ulong automaticStart, bool everywhere, SearchBudget budget)
    {
        _ground = ground;
        _topology = topology;
        _budget = budget;
        _automaticStart = automaticStart;
        _everywhere = everywhere;
        _lowest = Math.Min(FindFaults(), WindowPins.Lowest(topology, ground.LowestHoleStart));
        _ecams = [.. ground.Ecams.Select(ecam => ecam is { Pin: { } pin } ? Extent.Sized(pin.Value, ecam.Size) : (Extent?)null)];
        foreach (Extent? ecam in _ecams)
        {
            _lowest = ecam is { } range ? Math.Min(_lowest, range.Start) : _lowest;
        }

        _arenas = Build(_lowest, _ramPins);
    }

    private PlatformLimits Platform => _ground.Platform;

    private bool RamYieldsBelow4G => Platform.RamBase.Value > 0;

    public static Outcome Run(Ground ground, Topology topology, ulong automaticStart, SearchBudget budget, bool everywhere = false) =>
        new Attempt(ground, topology, automaticStart, everywhere, budget).Run(null);

    /// <summary>A try everywhere, with just <paramref name="low"/> of what could be high sent below 4 GiB.</summary>
    public static Outcome Run(Ground ground, Topology topology, ulong automaticStart, SearchBudget budget, IReadOnlyList<Movable> low) =>
        new Attempt(ground, topology, automaticStart, true, budget).Run(low);

    /// <summary>True when what goes below 4 GiB has room there, whatever that leaves for RAM and for what goes high; <paramref name="low"/> as above.</summary>
    public static bool LowFits(Ground ground, Topology topology, ulong automaticStart, SearchBudget budget, IReadOnlyList<Movable> low)
    {
        Attempt attempt = new(ground, topology, automaticStart, true, budget);
        attempt.FindFaultsAgainstPlatform();
        BlockTree tree = new(topology, attempt.Start(low), attempt._faults);
        List<Extent> pinned = attempt.RamPins(tree);
        attempt._arenas = attempt.Build(attempt._lowest, pinned);
        return attempt.PlaceEcams(tree, pinned) is null && attempt.Place(tree, ArenaKind.Low) is null;
    }

    private Arenas Build(ulong lowest, IReadOnlyList<Extent> pinned) =>
        Arenas.Build(_ground, _automaticStart, lowest, [.. _ecams], pinned, _everywhere ? Arenas.FinestStep : Arenas.HoleStep);

    // Everywhere, what goes high must not depend on how much of that space RAM takes at one start of the hole.
    private Choices Start(IReadOnlyList<Movable>? low) => new(
        _topology, (_everywhere ? _arenas.High.Bounds.Count > 0 : _arenas.High.Automatic.Spans.Count > 0) || _arenas.High.SetWindows.Any(), low);

    /// <summary>Collects the pins that are wrong by themselves; returns the lowest memory pin that is not, as far as RAM can make way for it.</summary>
    private ulong FindFaults()
    {
        ulong lowest = ulong.MaxValue;
        ulong floor = _ground.LowestHoleStart;
        foreach (FunctionNode node in _topology.All)
        {
            foreach (BarSpec bar in node.Bars)
            {
                if (bar.Pin is not { } pin)
                {
                    continue;
                }

                if (PinRules.ByItself(bar, Platform) is { } fault)
                {
                    _faults.Add(bar, fault);
                }
                else if (PinRules.ArenaOf(bar) == ArenaKind.High)
                {
                    _ramPins.Add(Extent.Sized(pin.Value, bar.Size));
                }
                else if (bar.Kind != Pci.BarKind.Io && pin.Value >= floor)
                {
                    lowest = Math.Min(lowest, pin.Value);
                    if (RamYieldsBelow4G)
                    {
                        _ramPins.Add(Extent.Sized(pin.Value, bar.Size));
                    }
                }
            }
        }

        return lowest;
    }

    private void FindFaultsAgainstPlatform()
    {
        foreach (FunctionNode node in _topology.All)
        {
            foreach (BarSpec bar in node.Bars)
            {
                if (bar.Pin is not null && !_faults.ContainsKey(bar) && PinRules.AgainstPlatform(bar, _arenas) is { } fault)
                {
                    _faults.Add(bar, fault);
                }
            }
        }
    }

    private Outcome Run(IReadOnlyList<Movable>? low)
    {
        if (CheckHighRam() is { } ramConflict)
        {
            return new Outcome([ramConflict], LowerMayHelp: false);
        }

        FindFaultsAgainstPlatform();
        Choices choices = Start(low);
        Outcome? first = null;
        while (true)
        {
            BlockTree tree = new(_topology, choices, _faults);
            (Outcome outcome, bool again) = Try(tree, choices, mayChoose: low is null);
            if (outcome.Tree is not null)
            {
                return outcome;
            }

            // The first refusal is about the layout everyone would expect; later ones are about its substitutes.
            first ??= outcome;
            if (!again || !_budget.TryRound(_topology))
            {
                return first with { LowerMayHelp = outcome.LowerMayHelp, SentLow = choices.SentLow };
            }
        }
    }

    /// <summary>One tree; the flag says that a choice was changed and another round may do better.</summary>
    private (Outcome Outcome, bool Again) Try(BlockTree tree, Choices choices, bool mayChoose)
    {
        List<Extent> pinned = RamPins(tree);
        _arenas = Build(_lowest, pinned);
        PlacementConflict? blocked = CheckHighRam() ?? PlaceEcams(tree, pinned);
        if (blocked is not null)
        {
            return (new Outcome([blocked], LowerMayHelp: blocked.Kind == PlacementConflictKind.NoSpace), false);
        }

        Arenas widest = Build(_ground.LowestHoleStart, pinned);
        (List<PlacementConflict> conflicts, IReadOnlySet<FunctionNode> involved) = PinCheck.Run(tree, _arenas, widest, _faults);
        if (conflicts.Count > 0)
        {
            bool again = _faults.Count == 0 && involved.OrderByDescending(node => node.Order).Any(choices.Advance);
            return (new Outcome(conflicts, LowerMayHelp: false), again);
        }

        if (Place(tree, ArenaKind.High) is { } high)
        {
            return (Failed(high, ArenaKind.High), mayChoose && choices.SendLow(high.Left, high.Block));
        }

        if (Place(tree, ArenaKind.Low) is { } low)
        {
            // More room is what the hole's start gives; other choices help only inside windows that pins hold in place.
            return (Failed(low, ArenaKind.Low), mayChoose && low.Inside is not null && choices.Advance(low.Block.Node));
        }

        return Place(tree, ArenaKind.Io) is { } io
            ? (Failed(io, ArenaKind.Io), false)
            : (new Outcome([], LowerMayHelp: false) { Tree = tree, Arenas = _arenas }, false);
    }

    private Outcome Failed(Failure failure, ArenaKind kind) =>
        new([], LowerMayHelp: kind == ArenaKind.Low) { Failure = failure, FailedIn = kind, Arenas = _arenas };

    private Failure? Place(BlockTree tree, ArenaKind kind) => BusPacker.Place(_arenas[kind], _everywhere, tree.Root(kind), _topology.Hosts.Count, _budget);

    /// <summary>
    /// What pins hold from 4 GiB up, or wherever RAM yields, for RAM to keep out of: single BARs, the windows around them, and room for what floats in those
    /// windows.
    /// </summary>
    private List<Extent> RamPins(BlockTree tree)
    {
        List<Extent> pinned = [.. _ramPins];

        // Where RAM in one piece ends. It gives room only to windows that it would otherwise run into.
        ulong ramEnd = PlatformLimits.FourGiB + Platform.RamSize - Math.Min(Platform.RamSize, _arenas.Ram.LowEnd - Platform.RamBase.Value);
        foreach (Block block in RamYieldsBelow4G ? tree.Root(ArenaKind.High).Concat(tree.Root(ArenaKind.Low)) : tree.Root(ArenaKind.High))
        {
            if (block is WindowBlock { Floats: false } window)
            {
                pinned.Add(window.IsPinned || window.Forced.Start >= ramEnd ? window.Forced : Room(window));
            }
        }

        return pinned;
    }

    private static Extent Room(WindowBlock window)
    {
        UInt128 more = window.Reserve + Floating(window, out ulong unit);
        if (more == 0 || more >> 57 != 0)
        {
            return window.Forced;
        }

        unit = Math.Max(unit, window.Granule);
        ulong below = Math.Min((ulong)more, window.Forced.Start - Math.Min(window.Forced.Start, PlatformLimits.FourGiB));
        return new Extent(Align.Down(window.Forced.Start - below, unit), Align.Up(window.Forced.End + (ulong)more, unit));
    }

    private static UInt128 Floating(WindowBlock window, out ulong unit)
    {
        UInt128 sum = 0;
        unit = 1;
        foreach (Block child in window.Children)
        {
            ulong inside = 1;
            sum += child switch
            {
                WindowBlock { Floats: false } inner => inner.Reserve + Floating(inner, out inside),
                { Floats: true, Shapes.Length: > 0 } => child.Shapes[0].Size,
                _ => 0,
            };
            unit = Math.Max(unit, child is { Floats: true, Shapes.Length: > 0 } ? child.Shapes[0].Alignment : inside);
        }

        return sum;
    }

    private PlacementConflict? PlaceEcams(BlockTree tree, List<Extent> pinned)
    {
        if (!_ecams.Where((ecam, segment) => ecam is null && _ground.Ecams[segment] is not null).Any())
        {
            return null;
        }

        int failed = EcamPlacer.Place(_ground, _arenas, tree, _ecams);
        if (failed >= 0)
        {
            return new PlacementConflict(
                PlacementConflictKind.NoSpace,
                new ConflictParty(_ground.EcamName(failed)),
                $"there is no room for {_ground.EcamName(failed)} ({ByteSize.Format(_ground.Ecams[failed]!.Size)}) from 0x{_arenas.HoleStart:x} to "
                    + $"{Platform.Mmio32End}, beside the pinned BARs and reserved ranges")
            {
                Obstacle = new ConflictParty("the low hole", new Extent(_arenas.HoleStart, Math.Max(_arenas.HoleStart, Platform.Mmio32End.Value)).ToRange()),
            };
        }

        _arenas = Build(_arenas.HoleStart, pinned);
        return null;
    }

    private PlacementConflict? CheckHighRam()
    {
        if (_arenas.Ram.Missing > 0)
        {
            return new PlacementConflict(
                PlacementConflictKind.BadLimit,
                new ConflictParty("guest RAM"),
                $"guest RAM of {ByteSize.Format(Platform.RamSize)} does not fit: with "
                    + $"{(RamYieldsBelow4G ? "what pins and windows take" : $"the low hole from 0x{_arenas.HoleStart:x}")} it would pass the guest's "
                    + $"{Platform.PhysicalAddressBits} physical address bits")
            {
                Obstacle = new ConflictParty("the guest's address width"),
            };
        }

        if (Platform.Mmio64Window is not { } window)
        {
            return null;
        }

        Extent? hit = _arenas.Ram.High.Where(piece => piece.Overlaps(Extent.Of(window))).Select(piece => (Extent?)piece).FirstOrDefault();
        return hit is not { } ram ? null : new PlacementConflict(
            PlacementConflictKind.BadLimit,
            new ConflictParty("the 64-bit memory window", window),
            $"the 64-bit memory window {window} overlaps guest RAM at {ram}: the nearest base that does not is 0x{_arenas.Ram.HighEnd:x}")
        {
            Obstacle = new ConflictParty("guest RAM", ram.ToRange()),
        };
    }
}

/// <summary>How an attempt ended: with a settled tree, or with conflicts.</summary>
/// <param name="Conflicts">Empty on success.</param>
/// <param name="LowerMayHelp">True when a lower start of the automatic 32-bit space might succeed.</param>
internal sealed record Outcome(IReadOnlyList<PlacementConflict> Conflicts, bool LowerMayHelp)
{
    public BlockTree? Tree { get; init; }

    /// <summary>What found no room, until it is put into words.</summary>
    public Failure? Failure { get; init; }

    public ArenaKind FailedIn { get; init; }

    /// <summary>True when something found no room: RAM and ECAM ranges included, pins that contradict each other not.</summary>
    public bool IsAboutRoom =>
        Failure is not null || Conflicts.All(conflict => conflict.Kind is PlacementConflictKind.BadLimit or PlacementConflictKind.NoSpace);

    public Arenas? Arenas { get; init; }

    /// <summary>What a failed attempt had sent below 4 GiB by then, on root buses.</summary>
    public IReadOnlyList<Movable> SentLow { get; init; } = [];
}
