using Aperture.Placement.Checks;
using Aperture.Placement.Platforms;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>One try at a layout, with the automatic 32-bit space starting at a given address.</summary>
internal sealed class Attempt
{
    private readonly Ground _ground;
    private readonly Topology _topology;
    private readonly SearchBudget _budget;
    private readonly ulong _automaticStart;
    private readonly ulong _lowest;
    private readonly Dictionary<BarSpec, PinFault> _faults = [];
    private readonly List<Extent> _highPins = [];
    private readonly Extent?[] _ecams;
    private Arenas _arenas;

    private Attempt(Ground ground, Topology topology, ulong automaticStart, SearchBudget budget)
    {
        _ground = ground;
        _topology = topology;
        _budget = budget;
        _automaticStart = automaticStart;
        _lowest = Math.Min(FindFaults(), WindowPins.Lowest(topology, ground.LowestHoleStart));
        _ecams = [.. ground.Ecams.Select(ecam => ecam is { Pin: { } pin } ? Extent.Sized(pin.Value, ecam.Size) : (Extent?)null)];
        foreach (Extent? ecam in _ecams)
        {
            _lowest = ecam is { } range ? Math.Min(_lowest, range.Start) : _lowest;
        }

        _arenas = Build(_lowest, _highPins);
    }

    private PlatformLimits Platform => _ground.Platform;

    public static Outcome Run(Ground ground, Topology topology, ulong automaticStart, SearchBudget budget) =>
        new Attempt(ground, topology, automaticStart, budget).Run();

    private Arenas Build(ulong lowest, IReadOnlyList<Extent> pinned) => Arenas.Build(_ground, _automaticStart, lowest, [.. _ecams], pinned);

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
                    _highPins.Add(Extent.Sized(pin.Value, bar.Size));
                }
                else if (bar.Kind != Pci.BarKind.Io && pin.Value >= floor)
                {
                    lowest = Math.Min(lowest, pin.Value);
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

    private Outcome Run()
    {
        if (CheckHighRam() is { } ramConflict)
        {
            return new Outcome([ramConflict], LowerMayHelp: false);
        }

        FindFaultsAgainstPlatform();
        Choices choices = new(_topology, _arenas.High.Automatic.Spans.Count > 0 || _arenas.High.SetWindows.Any());
        Outcome? first = null;
        while (true)
        {
            BlockTree tree = new(_topology, choices, _faults);
            (Outcome outcome, bool again) = Try(tree, choices);
            if (outcome.Tree is not null)
            {
                return outcome;
            }

            // The first refusal is about the layout everyone would expect; later ones are about its substitutes.
            first ??= outcome;
            if (!again || !_budget.TryRound(_topology))
            {
                return Finish(first, tree) with { LowerMayHelp = outcome.LowerMayHelp };
            }
        }
    }

    /// <summary>One tree; the flag says that a choice was changed and another round may do better.</summary>
    private (Outcome Outcome, bool Again) Try(BlockTree tree, Choices choices)
    {
        List<Extent> pinned = HighPins(tree);
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
            return (new Outcome([], LowerMayHelp: false) { Failure = high, FailedIn = ArenaKind.High }, choices.SendLow(high.Block));
        }

        if (Place(tree, ArenaKind.Low) is { } low)
        {
            // More room is what the hole's start gives; other choices help only inside windows that pins hold in place.
            return (new Outcome([], LowerMayHelp: true) { Failure = low, FailedIn = ArenaKind.Low }, low.Inside is not null && choices.Advance(low.Block.Node));
        }

        return Place(tree, ArenaKind.Io) is { } io
            ? (new Outcome([], LowerMayHelp: false) { Failure = io, FailedIn = ArenaKind.Io }, false)
            : (new Outcome([], LowerMayHelp: false) { Tree = tree, Arenas = _arenas }, false);
    }

    private Failure? Place(BlockTree tree, ArenaKind kind) => BusPacker.Place(_arenas[kind], tree.Root(kind), _topology.Hosts.Count, _budget);

    /// <summary>What pins hold from 4 GiB up, for RAM to keep out of: single BARs, the windows around them, and room for what floats in those windows.</summary>
    private List<Extent> HighPins(BlockTree tree)
    {
        List<Extent> pinned = [.. _highPins];

        // Where RAM in one piece ends. It gives room only to windows that it would otherwise run into.
        ulong ramEnd = PlatformLimits.FourGiB + Platform.RamSize - Math.Min(Platform.RamSize, _arenas.Ram.LowEnd);
        foreach (Block block in tree.Root(ArenaKind.High))
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
                $"there is no room for {_ground.EcamName(failed)} ({ByteSize.Format(_ground.Ecams[failed]!.Size)}) from 0x{_arenas.HoleStart:x} to {Platform.Mmio32End}, beside the pinned BARs and reserved ranges")
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
                $"guest RAM of {ByteSize.Format(Platform.RamSize)} does not fit: with the low hole from 0x{_arenas.HoleStart:x} it would pass the guest's {Platform.PhysicalAddressBits} physical address bits")
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

    private Outcome Finish(Outcome outcome, BlockTree tree)
    {
        if (outcome.Failure is not { } failure)
        {
            return outcome;
        }

        bool ecamFloats = _ground.Ecams.Any(ecam => ecam is { Pin: null });
        bool proven = !_budget.RoundsUsedUp && RoomProof.NoneExists(tree, _arenas, outcome.FailedIn, ecamFloats);
        return outcome with { Conflicts = [RoomSentence.Of(failure, _arenas[outcome.FailedIn], proven)] };
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

    public Arenas? Arenas { get; init; }
}
