using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.Placement.Tests;

/// <summary>
/// Judges a map by the PCI rules alone. Written from the specifications and shares no code with the solver: 128-bit arithmetic,
/// comparison of neighbours, and address routing decided the way hardware does it, from each address down through the windows.
/// </summary>
internal static class LayoutChecker
{
    private readonly record struct Span(UInt128 First, UInt128 Last, string Name)
    {
        public static Span Of(AddressRange range, string name) => new(range.Start.Value, (UInt128)range.Start.Value + range.Size - 1, name);

        public bool Meets(Span other) => First <= other.Last && other.First <= Last;

        public bool Holds(Span other) => First <= other.First && other.Last <= Last;
    }

    public static void Check(PlacementRequest request, PlacementMap map)
    {
        Assert.Equal(request.HostBridges.Count, map.HostBridges.Count);
        List<Span> taken = CheckPlatform(request, map);
        List<Span> memory = [];
        List<Span> ports = [];
        List<Span> rootMemory = [];
        List<Span> rootPorts = [];
        foreach ((HostBridgePlacement host, HostBridgeDemand demand) in map.HostBridges.Zip(request.HostBridges))
        {
            Assert.Equal((demand.Name, demand.Segment, demand.FirstBus, demand.LastBus), (host.Name, host.Segment, host.FirstBus, host.LastBus));
            Above above = new(host.IoWindows, host.Mmio32Windows.Concat(host.Mmio64Windows), null);
            CheckBus(host.Functions, host.FirstBus, demand.Functions, above, memory, ports, map.LeftOut);
            CheckBuses(host.Functions, host.FirstBus, host.FirstBus + Extra(host.Functions), demand.LastBus);
            rootMemory.AddRange(host.Mmio32Windows.Concat(host.Mmio64Windows).Select(window => Span.Of(window, $"a window of {host.Name}")));
            rootPorts.AddRange(host.IoWindows.Select(window => Span.Of(window, $"an I/O window of {host.Name}")));
            Inside(host.IoWindows, demand.IoWindows);
            Inside(host.Mmio32Windows, demand.Mmio32Windows);
            Inside(host.Mmio64Windows, demand.Mmio64Windows);
        }

        Assert.Equal(request.HostBridges.SelectMany(host => Names(host.Functions)).Order(), map.Functions.Select(function => function.Name).Order());
        Apart(rootMemory);
        Apart(rootPorts);
        Clear(rootMemory, taken);
        Apart(memory);
        Apart(ports);
        Clear(memory, taken);
        Clear(ports, [.. request.Platform.ReservedIo.Where(reserved => !reserved.Range.IsEmpty).Select(reserved => Span.Of(reserved.Range, reserved.Origin))]);
        UInt128 end = (UInt128)1 << request.Platform.PhysicalAddressBits;
        foreach (Span bar in memory)
        {
            Assert.True(bar.Last < end, $"{bar.Name} passes the address width");
        }

        foreach (Span bar in ports)
        {
            Assert.True(bar.Last <= 0xFFFF, $"{bar.Name} passes the I/O space");
        }
    }

    private sealed record Above(IEnumerable<AddressRange> Io, IEnumerable<AddressRange> Memory, AddressRange? Prefetchable);

    private static void Inside(IReadOnlyList<AddressRange> windows, IReadOnlyList<AddressRange>? set)
    {
        if (set is not null)
        {
            Assert.All(windows, window => Assert.Contains(set, outer => Span.Of(outer, "").Holds(Span.Of(window, ""))));
        }
    }

    private static List<Span> CheckPlatform(PlacementRequest request, PlacementMap map)
    {
        const ulong FourGiB = 0x1_0000_0000;
        PlatformLimits platform = request.Platform;
        List<Span> taken = [];
        CheckRam(platform, map.Ram, taken);
        CheckEcams(request, map, taken);
        Apart(taken);
        foreach (ReservedRange reserved in platform.Reserved)
        {
            if (reserved.Range.IsEmpty)
            {
                continue;
            }

            Span span = Span.Of(reserved.Range, reserved.Origin);
            bool board = reserved.Kind is ReservedKind.Board or ReservedKind.Firmware && span.Last < FourGiB;
            Assert.All(taken, part =>
                Assert.True((board && part.Name.EndsWith("RAM", StringComparison.Ordinal)) || !part.Meets(span), $"{part.Name} lies on {span.Name}"));
        }

        taken.AddRange(platform.Reserved.Where(reserved => !reserved.Range.IsEmpty).Select(reserved => Span.Of(reserved.Range, reserved.Origin)));
        foreach (HostBridgePlacement host in map.HostBridges)
        {
            Assert.All(host.Mmio32Windows, window => Assert.True(window.Last.Value < FourGiB));
            Assert.All(host.Mmio64Windows, window => Assert.True(window.Start.Value >= FourGiB));
        }

        return taken;
    }

    private static void CheckRam(PlatformLimits platform, RamPlacement ram, List<Span> taken)
    {
        const ulong FourGiB = 0x1_0000_0000;
        Assert.Equal(platform.RamSize, ram.Pieces.Aggregate(0UL, (sum, piece) => sum + piece.Size));
        Assert.All(ram.Pieces, piece => Assert.False(piece.IsEmpty));
        Assert.Equal(ram.Low, ram.LowPieces.Count == 0 ? default : ram.LowPieces[0]);
        Assert.Equal(ram.HighPieces.Count == 0, ram.High.IsEmpty);
        Assert.True(ram.High.IsEmpty || ram.High == ram.HighPieces[0]);
        bool isAbove = platform.RamBase.Value > 0;
        Assert.All(ram.LowPieces, piece => Assert.True(
            isAbove ? piece.Start >= platform.RamBase && piece.Last.Value < FourGiB : piece.Last < ram.LowHoleStart, "low RAM is not beside the hole"));
        Assert.All(ram.HighPieces, piece => Assert.True(piece.Start.Value >= FourGiB));
        Assert.All(ram.Pieces, piece => Assert.True((UInt128)piece.Last.Value < (UInt128)1 << platform.PhysicalAddressBits));
        Assert.True(isAbove || ram.LowHoleStart.Value >= Math.Min(platform.RamSize, platform.LowRamFloor), "RAM below the floor was taken");
        Assert.Equal(isAbove ? platform.RamBase.Value : FourGiB, ram.LowHole.Last.Value + 1);
        Assert.True(platform.Hole == LowHole.Compact || ram.LowHoleStart.Value <= platform.LowRamCeiling);
        taken.AddRange(ram.LowPieces.Select(piece => Span.Of(piece, "low RAM")));
        taken.AddRange(ram.HighPieces.Select(piece => Span.Of(piece, "high RAM")));

        Assert.Equal(isAbove, ram.Registers is null);
        if (ram.Registers is not { } registers)
        {
            return;
        }

        Assert.True(registers.Tom.Value >= platform.RamSize && registers.Tom.Value % (64UL << 20) == 0);
        Assert.True(ram.LowPieces.Count == 0 || registers.Tolud > ram.LowPieces[^1].Last);
        Assert.True(ram.HighPieces.Count == 0 || registers.Touud > ram.HighPieces[^1].Last);
        Assert.True(!registers.RemapEnabled
            || (registers.RemapBase.Value % (64UL << 20) == 0 && (registers.RemapLimit.Value + 1) % (64UL << 20) == 0 && registers.RemapBase.Value >= FourGiB));
    }

    private static void CheckEcams(PlacementRequest request, PlacementMap map, List<Span> taken)
    {
        PlatformLimits platform = request.Platform;
        Assert.Equal(platform.Ecam is null, map.Ecam is null);
        Assert.Equal(platform.Ecam is null ? [] : request.HostBridges.Select(host => host.Segment).Distinct(), map.Ecams.Select(ecam => ecam.Segment));
        for (int index = 0; index < map.Ecams.Count; index++)
        {
            (uint segment, AddressRange range) = map.Ecams[index];
            EcamDemand? demand = index == 0 ? platform.Ecam : platform.SegmentEcams.GetValueOrDefault(segment);
            Assert.Equal(demand?.Size ?? 256UL << 20, range.Size);
            Assert.Equal(0UL, range.Start.Value % range.Size);
            Assert.Equal(demand?.Pin ?? range.Start, range.Start);
            taken.Add(Span.Of(range, $"ECAM {segment}"));
        }
    }

    private static void CheckBus(
        IReadOnlyList<FunctionPlacement> functions, byte bus, IReadOnlyList<FunctionDemand> demands, Above above, List<Span> memory, List<Span> ports,
        IReadOnlyList<LeftOutBar> leftOut)
    {
        List<Span> claimedMemory = [];
        List<Span> claimedPorts = [];
        Dictionary<string, FunctionDemand> byName = demands.ToDictionary(candidate => candidate.Name);
        Assert.Equal(byName.Count, functions.Count);
        foreach (FunctionPlacement function in functions)
        {
            FunctionDemand demand = byName[function.Name];
            Assert.Equal((bus, demand.DeviceFunction), (function.Address.Bus, function.Address.DeviceFunction));
            Assert.Equal(demand.Bars.Count, function.Bars.Count + leftOut.Count(bar => bar.Function == function.Name));
            foreach (BarDemand asked in demand.Bars.Where(asked => !IsLeftOut(demand, asked, above, leftOut)))
            {
                BarPlacement bar = function.Bars.Single(candidate => candidate.Demand.Index == asked.Index);
                Span span = Span.Of(bar.Range, $"{function.Name} bar {asked.Index}");
                CheckBar(demand, asked, bar, span, above);
                (asked.Kind == BarKind.Io ? claimedPorts : claimedMemory).Add(span);
                (asked.Kind == BarKind.Io ? ports : memory).Add(span);
            }

            Assert.Equal(demand.Bridge is null, function.Bridge is null);
            if (function.Bridge is { } bridge)
            {
                CheckWindows(function.Name, demand.Bridge!, bridge, above, claimedMemory, claimedPorts);
                Above inside = new(List(bridge.Io), List(bridge.Memory), bridge.Prefetchable);
                CheckBus(bridge.Functions, bridge.Secondary, demand.Bridge!.Functions, inside, memory, ports, leftOut);
            }
        }

        // What two agents on one bus claim must not meet.
        Apart(claimedMemory);
        Apart(claimedPorts);
    }

    /// <summary>Only an I/O BAR behind a bridge may have no address, only of a function that has a memory BAR, and never one that the user pinned.</summary>
    private static bool IsLeftOut(FunctionDemand function, BarDemand asked, Above above, IReadOnlyList<LeftOutBar> leftOut)
    {
        bool isOut = leftOut.Any(bar => bar.Function == function.Name && bar.Demand == asked);
        Assert.True(!isOut || (asked is { Kind: BarKind.Io, Pin: null } && !above.Io.Any()
            && function.Bars.Any(bar => bar.Kind is not (BarKind.Io or BarKind.Rom))), $"{function.Name} bar {asked.Index} was left out");
        return isOut;
    }

    private static void CheckBar(FunctionDemand function, BarDemand asked, BarPlacement bar, Span span, Above above)
    {
        // A VF BAR is a row of one aperture for each VF, each at least a system page.
        bool isVf = asked.Index is >= 7 and <= 12;
        ulong chosen = asked.LargestThatFits && asked.ResizableSizes.Count > 0 ? bar.Size : isVf ? Math.Max(asked.Size, 4096) : asked.Size;
        Assert.Equal(chosen, bar.Size);
        Assert.True(bar.Size <= Math.Max(asked.Size, isVf ? 4096UL : 0));
        Assert.True(!asked.LargestThatFits || asked.ResizableSizes.Count == 0
            || asked.ResizableSizes.Any(size => bar.Size == (isVf ? Math.Max(size, 4096) : size)));
        Assert.Equal(bar.Size * (isVf ? function.Sriov!.TotalVfs : 1UL), bar.Range.Size);
        Assert.NotEqual(0UL, bar.Address.Value);
        Assert.Equal(0UL, bar.Address.Value % bar.Size);
        Assert.Equal(asked.Pin ?? bar.Address, bar.Address);
        Assert.Equal(asked.Pin is not null, bar.Why.Kind == PlacementReasonKind.Pinned);
        bool wide = asked.Kind is BarKind.Memory64 or BarKind.Memory64Prefetchable;
        Assert.True(wide || span.Last < (UInt128)1 << 32, $"{span.Name} is 32-bit and lies high");
        bool mayPrefetch = asked.Kind is BarKind.Memory32Prefetchable or BarKind.Memory64Prefetchable;
        bool reached = asked.Kind == BarKind.Io
            ? above.Io.Any(window => Span.Of(window, "").Holds(span))
            : above.Memory.Any(window => Span.Of(window, "").Holds(span))
                || (mayPrefetch && above.Prefetchable is { } prefetchable && Span.Of(prefetchable, "").Holds(span));
        Assert.True(reached, $"{span.Name} at {bar.Range} is not forwarded to its bus");
    }

    private static void CheckWindows(string name, BridgeDemand demand, BridgePlacement bridge, Above above, List<Span> claimedMemory, List<Span> claimedPorts)
    {
        void One(AddressRange? window, ulong unit, string kind, IEnumerable<AddressRange> outer, List<Span> claimed, AddressRange? pin, ulong reserve)
        {
            Assert.True(pin is null || window == pin, $"the {kind} window of {name} is not where it was pinned");
            Assert.True(pin is not null || (window?.Size ?? 0) >= reserve, $"the {kind} window of {name} is smaller than its reserve");
            if (window is not { } range)
            {
                return;
            }

            Span span = Span.Of(range, $"{kind} window of {name}");
            Assert.False(range.IsEmpty);
            Assert.Equal(0UL, range.Start.Value % unit);
            Assert.Equal(0UL, range.Size % unit);
            Assert.True(outer.Any(candidate => Span.Of(candidate, "").Holds(span)), $"{span.Name} {range} is not forwarded to it");
            claimed.Add(span);
        }

        One(bridge.Io, 0x1000, "I/O", above.Io, claimedPorts, demand.IoWindow, demand.Reserve?.Io ?? 0);
        One(bridge.Memory, 0x10_0000, "memory", above.Memory, claimedMemory, demand.MemoryWindow, demand.Reserve?.Memory ?? 0);
        One(bridge.Prefetchable, 0x10_0000, "prefetchable", [.. above.Memory, .. List(above.Prefetchable)], claimedMemory, demand.PrefetchableWindow,
            demand.Reserve?.Prefetchable ?? 0);
        Assert.True(bridge.Memory is not { } memory || memory.Last.Value <= uint.MaxValue, $"the memory window of {name} is 32-bit");
        Assert.True(bridge.Prefetchable is not { } pref || pref.Start.Value > uint.MaxValue == pref.Last.Value > uint.MaxValue,
            $"the prefetchable window of {name} straddles 4 GiB");
    }

    /// <summary>
    /// Configuration transactions route by secondary..subordinate: ranges nest, siblings are apart, and no number is used twice. Returns the highest.
    /// </summary>
    private static int CheckBuses(IReadOnlyList<FunctionPlacement> functions, int bus, int highest, int last)
    {
        Assert.True(highest <= last, $"VFs on bus {bus} reach past bus {last}");
        foreach (FunctionPlacement function in functions.Where(function => function.Bridge is not null).OrderBy(function => function.Bridge!.Secondary))
        {
            BridgePlacement bridge = function.Bridge!;
            BridgeDemand demand = function.Demand.Bridge!;
            Assert.Equal(bus, bridge.Primary);
            Assert.True(bridge.Secondary > highest, $"bus {bridge.Secondary} is used twice");
            Assert.True(bridge.Subordinate <= last, $"{function.Name} passes the last bus {last}");
            Assert.Equal((demand.SecondaryBus ?? bridge.Secondary, demand.SubordinateBus ?? bridge.Subordinate), (bridge.Secondary, bridge.Subordinate));
            Assert.True(bridge.Subordinate - bridge.Secondary >= (demand.Reserve?.Buses ?? 0), $"{function.Name} keeps too few buses");
            int below = CheckBuses(bridge.Functions, bridge.Secondary, bridge.Secondary + Extra(bridge.Functions), bridge.Subordinate);
            Assert.True(below <= bridge.Subordinate);
            highest = bridge.Subordinate;
        }

        return highest;
    }

    /// <summary>Bus numbers after their own that VFs of these functions take.</summary>
    private static int Extra(IEnumerable<FunctionPlacement> functions) => functions.Where(function => function.Demand.Sriov is { TotalVfs: > 0 })
        .Select(function => (function.Demand.DeviceFunction + function.Demand.Sriov!.FirstOffset
            + (function.Demand.Sriov.TotalVfs - 1) * function.Demand.Sriov.Stride) / 256)
        .DefaultIfEmpty(0).Max();

    private static void Apart(List<Span> spans)
    {
        Span[] sorted = [.. spans.OrderBy(span => span.First)];
        for (int index = 1; index < sorted.Length; index++)
        {
            Assert.False(sorted[index - 1].Meets(sorted[index]), $"{sorted[index - 1].Name} and {sorted[index].Name} overlap");
        }
    }

    /// <summary>Something taken meets a span exactly when, of all that start at or before the span's end, one reaches its start.</summary>
    private static void Clear(List<Span> placed, List<Span> taken)
    {
        Span[] sorted = [.. taken.OrderBy(span => span.First)];
        int next = 0;
        Span? farthest = null;
        foreach (Span span in placed.OrderBy(span => span.Last))
        {
            for (; next < sorted.Length && sorted[next].First <= span.Last; next++)
            {
                farthest = farthest is null || sorted[next].Last > farthest.Value.Last ? sorted[next] : farthest;
            }

            Assert.False(farthest?.Last >= span.First, $"{span.Name} lies on {farthest?.Name}");
        }
    }

    private static IEnumerable<AddressRange> List(AddressRange? window) => window is { } range ? [range] : [];

    private static IEnumerable<string> Names(IEnumerable<FunctionDemand> functions) =>
        functions.SelectMany(function => Names(function.Bridge?.Functions ?? []).Prepend(function.Name));
}
