namespace Aperture.Placement;

/// <summary>One try at a layout, with the automatic 32-bit space starting at a given address.</summary>
internal sealed class Attempt
{
    private readonly Topology _topology;
    private readonly PlatformLimits _platform;
    private readonly ulong _automaticStart;
    private readonly Dictionary<(FunctionNode Node, int Index), PinFault> _faults = [];
    private Arenas _arenas;

    private Attempt(Topology topology, PlatformLimits platform, ulong automaticStart)
    {
        _topology = topology;
        _platform = platform;
        _automaticStart = automaticStart;
        ulong lowest = FindFaults();
        Extent? ecam = platform.Ecam is { Pin: { } pin } demand ? Extent.Sized(pin.Value, demand.Size) : null;
        lowest = ecam is { } range ? Math.Min(lowest, range.Start) : lowest;
        _arenas = Arenas.Build(platform, automaticStart, lowest, ecam);
    }

    public static Outcome Run(Topology topology, PlatformLimits platform, ulong automaticStart) => new Attempt(topology, platform, automaticStart).Run();

    /// <summary>Collects the pins that are wrong by themselves; returns the lowest memory pin that is not, as far as RAM can make way for it.</summary>
    private ulong FindFaults()
    {
        ulong lowest = ulong.MaxValue;
        ulong floor = Arenas.LowestHoleStart(_platform);
        foreach (FunctionNode node in _topology.All)
        {
            foreach (BarDemand bar in node.Demand.Bars.Where(bar => bar.Pin is not null))
            {
                if (PinRules.ByItself(node, bar, _platform) is { } fault)
                {
                    _faults.Add((node, bar.Index), fault);
                }
                else if (bar.Kind != Pci.BarKind.Io && bar.Pin!.Value.Value >= floor)
                {
                    lowest = Math.Min(lowest, bar.Pin.Value.Value);
                }
            }
        }

        return lowest;
    }

    private void FindFaultsAgainstPlatform()
    {
        foreach (FunctionNode node in _topology.All)
        {
            foreach (BarDemand bar in node.Demand.Bars.Where(bar => bar.Pin is not null && !_faults.ContainsKey((node, bar.Index))))
            {
                if (PinRules.AgainstPlatform(bar, _arenas) is { } fault)
                {
                    _faults.Add((node, bar.Index), fault);
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
        Choices choices = new(_topology, _arenas.High.Automatic.Spans.Count > 0);
        Outcome? first = null;
        while (true)
        {
            BlockTree tree = new(_topology, choices, _faults.Keys.ToHashSet());
            (Outcome outcome, bool again) = Try(tree, choices);
            if (outcome.Tree is not null)
            {
                return outcome;
            }

            // The first refusal is about the layout everyone would expect; later ones are about its substitutes.
            first ??= outcome;
            if (!again)
            {
                return Finish(first, tree) with { LowerMayHelp = outcome.LowerMayHelp };
            }
        }
    }

    /// <summary>One tree; the flag says that a choice was changed and another round may do better.</summary>
    private (Outcome Outcome, bool Again) Try(BlockTree tree, Choices choices)
    {
        PlaceEcam(tree, out PlacementConflict? noEcam);
        if (noEcam is not null)
        {
            return (new Outcome([noEcam], LowerMayHelp: true), false);
        }

        Arenas widest = Arenas.Build(_platform, _automaticStart, Arenas.LowestHoleStart(_platform), _arenas.Ecam);
        (List<PlacementConflict> conflicts, IReadOnlySet<FunctionNode> involved) = PinCheck.Run(tree, _arenas, widest, _faults);
        if (conflicts.Count > 0)
        {
            bool again = _faults.Count == 0 && involved.OrderByDescending(node => node.Order).Any(choices.Advance);
            return (new Outcome(conflicts, LowerMayHelp: false), again);
        }

        if (BusPacker.Place(_arenas.High, tree.Root(ArenaKind.High)) is { } high)
        {
            return (new Outcome([], LowerMayHelp: false) { Failure = high, FailedIn = ArenaKind.High }, choices.SendLow(high.Block));
        }

        if (BusPacker.Place(_arenas.Low, tree.Root(ArenaKind.Low)) is { } low)
        {
            // More room is what the hole's start gives; other choices help only inside windows that pins hold in place.
            return (new Outcome([], LowerMayHelp: true) { Failure = low, FailedIn = ArenaKind.Low }, low.Inside is not null && choices.Advance(low.Block.Node));
        }

        return BusPacker.Place(_arenas.Io, tree.Root(ArenaKind.Io)) is { } io
            ? (new Outcome([], LowerMayHelp: false) { Failure = io, FailedIn = ArenaKind.Io }, false)
            : (new Outcome([], LowerMayHelp: false) { Tree = tree, Arenas = _arenas }, false);
    }

    private void PlaceEcam(BlockTree tree, out PlacementConflict? conflict)
    {
        conflict = null;
        if (_platform.Ecam is not { Pin: null } ecam || _arenas.Ecam is not null)
        {
            return;
        }

        if (EcamPlacer.Find(ecam, _arenas, _platform, tree.Root(ArenaKind.Low)) is { } place)
        {
            _arenas = Arenas.Build(_platform, _automaticStart, _arenas.HoleStart, place);
            return;
        }

        conflict = new PlacementConflict(
            PlacementConflictKind.NoSpace,
            new ConflictParty("the ECAM range"),
            $"there is no room for the ECAM range ({ByteSize.Format(ecam.Size)}) from 0x{_arenas.HoleStart:x} to {_platform.Mmio32End}, beside the pinned BARs and reserved ranges")
        {
            Obstacle = new ConflictParty("the low hole", new Extent(_arenas.HoleStart, _platform.Mmio32End.Value).ToRange()),
        };
    }

    private PlacementConflict? CheckHighRam()
    {
        Extent ram = _arenas.HighRam;
        ulong end = Arenas.SpaceEnd(_platform);
        if (!ram.IsEmpty && ram.End > end)
        {
            return new PlacementConflict(
                PlacementConflictKind.BadLimit,
                new ConflictParty("guest RAM"),
                $"guest RAM of {ByteSize.Format(_platform.RamSize)} does not fit: with the low hole from 0x{_arenas.HoleStart:x} it would pass the guest's {_platform.PhysicalAddressBits} physical address bits")
            {
                Obstacle = new ConflictParty("the guest's address width"),
            };
        }

        return _platform.Mmio64Window is { } window && !ram.IsEmpty && Extent.Of(window).Overlaps(ram)
            ? new PlacementConflict(
                PlacementConflictKind.BadLimit,
                new ConflictParty("the 64-bit memory window", window),
                $"the 64-bit memory window {window} overlaps guest RAM at {ram}: the nearest base that does not is 0x{ram.End:x}")
            {
                Obstacle = new ConflictParty("guest RAM", ram.ToRange()),
            }
            : null;
    }

    private Outcome Finish(Outcome outcome, BlockTree tree)
    {
        if (outcome.Failure is not { } failure)
        {
            return outcome;
        }

        bool proven = RoomProof.NoneExists(tree, _arenas, outcome.FailedIn, ecamFloats: _platform.Ecam is { Pin: null });
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
