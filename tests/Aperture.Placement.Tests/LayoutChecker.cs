using Aperture.Pci;

namespace Aperture.Placement.Tests;

/// <summary>
/// Judges a map by the PCI rules alone. Written from the specifications and shares no code with the solver: 128-bit arithmetic,
/// pairwise comparison, and address routing decided the way hardware does it, from each address down through the windows.
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
        HostBridgePlacement host = Assert.Single(map.HostBridges);
        HostBridgeDemand demand = Assert.Single(request.HostBridges);
        Assert.Equal(Names(demand.Functions).Order(), map.Functions.Select(function => function.Name).Order());
        List<Span> taken = CheckPlatform(request.Platform, map, host);

        List<Span> memory = [];
        List<Span> ports = [];
        CheckBus(host.Functions, host.FirstBus, demand.Functions, new Above(host.IoWindows, host.Mmio32Windows.Concat(host.Mmio64Windows), null), memory, ports);
        CheckBuses(host.Functions, host.FirstBus, host.FirstBus, demand.LastBus);

        Apart([.. memory]);
        Apart([.. ports]);
        Clear(memory, taken);
        Clear(ports, [.. request.Platform.ReservedIo.Select(reserved => Span.Of(reserved.Range, reserved.Origin))]);
        UInt128 end = (UInt128)1 << request.Platform.PhysicalAddressBits;
        Assert.All(memory, bar => Assert.True(bar.Last < end, $"{bar.Name} passes the address width"));
        Assert.All(ports, bar => Assert.True(bar.Last <= 0xFFFF, $"{bar.Name} passes the I/O space"));
    }

    private sealed record Above(IEnumerable<AddressRange> Io, IEnumerable<AddressRange> Memory, AddressRange? Prefetchable);

    private static List<Span> CheckPlatform(PlatformLimits platform, PlacementMap map, HostBridgePlacement host)
    {
        const ulong FourGiB = 0x1_0000_0000;
        Assert.Equal(platform.RamSize, map.Ram.Low.Size + map.Ram.High.Size);
        Assert.Equal(0UL, map.Ram.Low.Start.Value);
        Assert.True(map.Ram.High.IsEmpty || map.Ram.High.Start.Value == FourGiB);
        Assert.True(map.Ram.Low.Size <= platform.LowRamCeiling);
        Assert.True(map.Ram.LowHoleStart.Value >= map.Ram.Low.Size);
        Assert.True(map.Ram.Low.Size >= Math.Min(platform.RamSize, platform.LowRamFloor), "RAM below the floor was taken");

        List<Span> taken = [];
        void Take(AddressRange range, string name)
        {
            if (!range.IsEmpty)
            {
                taken.Add(Span.Of(range, name));
            }
        }

        Take(map.Ram.Low, "low RAM");
        Take(map.Ram.High, "high RAM");
        Assert.Equal(platform.Ecam is null, map.Ecam is null);
        if (map.Ecam is { } ecam)
        {
            Assert.Equal(platform.Ecam!.Size, ecam.Size);
            Assert.Equal(0UL, ecam.Start.Value % ecam.Size);
            Assert.Equal(platform.Ecam.Pin ?? ecam.Start, ecam.Start);
            Take(ecam, "ECAM");
        }

        Apart([.. taken]);
        foreach (Span part in taken.ToArray())
        {
            Assert.All(platform.Reserved, reserved => Assert.True(part.Name.EndsWith("RAM", StringComparison.Ordinal) || !part.Meets(Span.Of(reserved.Range, ""))));
        }

        foreach (ReservedRange reserved in platform.Reserved)
        {
            Take(reserved.Range, reserved.Origin);
        }

        Assert.All(host.Mmio32Windows, window => Assert.True(window.Last.Value < FourGiB));
        Assert.All(host.Mmio64Windows, window => Assert.True(window.Start.Value >= FourGiB));
        foreach (AddressRange window in host.Mmio32Windows.Concat(host.Mmio64Windows))
        {
            Assert.All(taken, other => Assert.False(Span.Of(window, "").Meets(other), $"window {window} holds {other.Name}"));
        }

        return taken;
    }

    private static void CheckBus(
        IReadOnlyList<FunctionPlacement> functions, byte bus, IReadOnlyList<FunctionDemand> demands, Above above, List<Span> memory, List<Span> ports)
    {
        List<Span> claimedMemory = [];
        List<Span> claimedPorts = [];
        foreach (FunctionPlacement function in functions)
        {
            FunctionDemand demand = demands.Single(candidate => candidate.Name == function.Name);
            Assert.Equal((bus, demand.DeviceFunction), (function.Address.Bus, function.Address.DeviceFunction));
            Assert.Equal(demand.Bars.Count, function.Bars.Count);
            foreach (BarDemand asked in demand.Bars)
            {
                BarPlacement bar = function.Bars.Single(candidate => candidate.Demand.Index == asked.Index);
                Span span = Span.Of(bar.Range, $"{function.Name} bar {asked.Index}");
                CheckBar(asked, bar, span, above);
                (asked.Kind == BarKind.Io ? claimedPorts : claimedMemory).Add(span);
                (asked.Kind == BarKind.Io ? ports : memory).Add(span);
            }

            Assert.Equal(demand.Bridge is null, function.Bridge is null);
            if (function.Bridge is { } bridge)
            {
                CheckWindows(function.Name, bridge, above, claimedMemory, claimedPorts);
                Above inside = new(List(bridge.Io), List(bridge.Memory), bridge.Prefetchable);
                CheckBus(bridge.Functions, bridge.Secondary, demand.Bridge!.Functions, inside, memory, ports);
            }
        }

        // What two agents on one bus claim must not meet.
        Apart([.. claimedMemory]);
        Apart([.. claimedPorts]);
    }

    private static void CheckBar(BarDemand asked, BarPlacement bar, Span span, Above above)
    {
        Assert.Equal(asked.Size, bar.Range.Size);
        Assert.NotEqual(0UL, bar.Address.Value);
        Assert.Equal(0UL, bar.Address.Value % asked.Size);
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

    private static void CheckWindows(string name, BridgePlacement bridge, Above above, List<Span> claimedMemory, List<Span> claimedPorts)
    {
        void One(AddressRange? window, ulong unit, string kind, IEnumerable<AddressRange> outer, List<Span> claimed)
        {
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

        One(bridge.Io, 0x1000, "I/O", above.Io, claimedPorts);
        One(bridge.Memory, 0x10_0000, "memory", above.Memory, claimedMemory);
        One(bridge.Prefetchable, 0x10_0000, "prefetchable", [.. above.Memory, .. List(above.Prefetchable)], claimedMemory);
        Assert.True(bridge.Memory is not { } memory || memory.Last.Value <= uint.MaxValue, $"the memory window of {name} is 32-bit");
        Assert.True(bridge.Prefetchable is not { } pref || pref.Start.Value > uint.MaxValue == pref.Last.Value > uint.MaxValue, $"the prefetchable window of {name} straddles 4 GiB");
    }

    /// <summary>Configuration transactions route by secondary..subordinate: ranges nest, siblings are apart, and no number is used twice. Returns the highest.</summary>
    private static int CheckBuses(IReadOnlyList<FunctionPlacement> functions, int bus, int highest, int last)
    {
        foreach (FunctionPlacement function in functions.OrderBy(function => function.Address))
        {
            if (function.Bridge is { } bridge)
            {
                Assert.Equal(bus, bridge.Primary);
                Assert.True(bridge.Secondary > highest, $"bus {bridge.Secondary} is used twice");
                Assert.True(bridge.Subordinate <= last, $"{function.Name} passes the last bus {last}");
                int below = CheckBuses(bridge.Functions, bridge.Secondary, bridge.Secondary, bridge.Subordinate);
                Assert.True(below <= bridge.Subordinate);
                highest = bridge.Subordinate;
            }
        }

        return highest;
    }

    private static void Apart(Span[] spans)
    {
        for (int left = 0; left < spans.Length; left++)
        {
            for (int right = left + 1; right < spans.Length; right++)
            {
                Assert.False(spans[left].Meets(spans[right]), $"{spans[left].Name} and {spans[right].Name} overlap");
            }
        }
    }

    private static void Clear(List<Span> placed, List<Span> taken) =>
        Assert.All(placed, span => Assert.All(taken, other => Assert.False(span.Meets(other), $"{span.Name} lies on {other.Name}")));

    private static IEnumerable<AddressRange> List(AddressRange? window) => window is { } range ? [range] : [];

    private static IEnumerable<string> Names(IEnumerable<FunctionDemand> functions) =>
        functions.SelectMany(function => Names(function.Bridge?.Functions ?? []).Prepend(function.Name));
}
