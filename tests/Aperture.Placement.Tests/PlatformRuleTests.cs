using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

public class PlatformRuleTests
{
    [Fact]
    public void RAM_moves_aside_for_a_pin_above_4_GiB()
    {
        PlacementMap map = Build.Map(RequestFor(PlatformLimits.Q35(16 * G, 46), Device("gpu", 1, Bar(0, BarKind.Memory64Prefetchable, G, 0x2_0000_0000))));
        Assert.Equal([Range(0x1_0000_0000, 4 * G), Range(0x2_4000_0000, 16 * G - 4 * G - 0xB000_0000)], map.Ram.HighPieces);
        Assert.Equal(map.Ram.HighPieces[0], map.Ram.High);
    }

    [Fact]
    public void RAM_keeps_out_of_the_HyperTransport_range()
    {
        PlatformLimits platform = PlatformLimits.Q35(1100 * G, 46) with { Reserved = [.. PlatformLimits.Q35Reserved, PlatformLimits.HyperTransport] };
        PlacementMap map = Build.Map(RequestFor(platform));
        Assert.Equal(0xFD_0000_0000UL - 1, map.Ram.HighPieces[0].Last.Value);
        Assert.Equal(0x100_0000_0000UL, map.Ram.HighPieces[1].Start.Value);
    }

    [Theory]
    [InlineData(ReservedKind.Rmrr, 2)]
    [InlineData(ReservedKind.Iommu, 2)]
    [InlineData(ReservedKind.Board, 1)]
    public void Low_RAM_keeps_out_of_what_a_device_cannot_reach(ReservedKind kind, int pieces)
    {
        PlatformLimits platform = Platform with { Reserved = [.. Platform.Reserved, new(Range(0x7000_0000, M), "a region", kind)] };
        Assert.Equal(pieces, Build.Map(RequestFor(platform)).Ram.LowPieces.Count);
    }

    [Fact]
    public void The_remap_registers_say_where_hidden_RAM_reappears()
    {
        // 8 GiB with TOLUD at 0xb0000000: the 1.25 GiB under the hole come back from 8 GiB on.
        MemoryRegisters registers = Build.Map(RequestFor(PlatformLimits.Q35(8 * G, 40))).Ram.Registers!;
        Assert.True(registers.RemapEnabled && registers.FitsRegisters);
        Assert.Equal((8 * G, 0xB000_0000UL, 0x2_5000_0000UL), (registers.Tom.Value, registers.Tolud.Value, registers.Touud.Value));
        Assert.Equal((0x2_0000_0000UL, 0x2_4FFF_FFFFUL), (registers.RemapBase.Value, registers.RemapLimit.Value));
        Assert.Equal((0xB000, 0x2500, 0x80, 0x93, 0x80),
            (registers.ToludRegister, registers.TouudRegister, registers.RemapBaseRegister, registers.RemapLimitRegister, registers.TomRegister));
        Assert.False(Build.Map(RequestFor()).Ram.Registers!.RemapEnabled);
    }

    [Fact]
    public void A_compact_hole_is_as_small_as_its_content_allows()
    {
        PlatformLimits platform = PlatformLimits.Q35(8 * G, 40) with { Hole = LowHole.Compact, Ecam = new EcamDemand(256 * M, null) };
        FunctionDemand[] functions = [Device("a", 1, Bar(0, BarKind.Memory32, 64 * M)), Device("b", 2, Bar(0, BarKind.Memory32, 32 * M))];
        PlacementMap map = Build.Map(RequestFor(platform, functions));
        Assert.Equal(0xE000_0000UL, map.Ram.LowHoleStart.Value);
        PlacementMap usual = Build.Map(RequestFor(platform with { Hole = LowHole.Usual }, functions));
        Assert.True(map.Metrics.HoleSize < usual.Metrics.HoleSize && map.Metrics.LargestGap.Size < usual.Metrics.LargestGap.Size);
        Assert.Equal(256 * M + 96 * M, map.Metrics.HoleUsed);
        Assert.Equal(map.Metrics.HoleSize - map.Metrics.HoleUsed, map.Metrics.LargestGap.Size);
        Assert.Equal(1, map.Metrics.Gaps);
    }

    [Fact]
    public void Host_bridges_have_windows_of_their_own()
    {
        HostBridgeDemand Host(int index) =>
            new($"pcie.{index}", [Device($"d{index}", 1, Bar(0, BarKind.Memory32, M), Bar(1, BarKind.Io, 32), Bar(2, BarKind.Memory64Prefetchable, G))])
            { Segment = (uint)(0x10000 * index) };
        PlacementMap map = Build.Map(new PlacementRequest(Platform, [Host(0), Host(1)]));
        Assert.Equal([0xC000_0000UL, 0xC010_0000UL], [map.At("d0", 0), map.At("d1", 0)]);
        Assert.Equal(Range(0xC000_0000, M), map.HostBridges[0].Mmio32Windows[0]);
        Assert.Equal([0u, 0x10000u], map.Ecams.Select(ecam => ecam.Segment));
        Assert.True(map.Ecams[1].Range.Start.Value >= PlatformLimits.FourGiB);
    }

    [Fact]
    public void Bridges_of_one_segment_cannot_share_bus_numbers() => Assert.Equal(
        PlacementConflictKind.BusNumbers,
        Build.Conflict(new PlacementRequest(Platform, [new HostBridgeDemand("a", []), new HostBridgeDemand("b", []) { FirstBus = 0x80 }])).Kind);

    [Fact]
    public void A_pin_outside_its_own_host_bridge_s_windows_is_an_error()
    {
        HostBridgeDemand host = new("pcie.0", [Device("d", 1, Bar(0, BarKind.Memory32, M, 0xE000_0000))]) { Mmio32Windows = [Range(0xC000_0000, 256 * M)] };
        Assert.Equal(PlacementConflictKind.OutOfWindow, Build.Conflict(new PlacementRequest(Platform, [host])).Kind);
    }

    [Fact]
    public void A_port_keeps_its_reserve_and_aligns_it_for_one_large_BAR()
    {
        FunctionDemand port = Bridge(
            "rp0", 1) with
        { Bridge = new BridgeDemand([]) { Reserve = new HotplugReserve { Buses = 3, Io = 1, Memory = 3 * M, Prefetchable = 64 * G } } };
        BridgePlacement bridge = Build.Map(RequestFor(port)).Bridge("rp0");
        Assert.Equal((4 * K, 3 * M, 64 * G), (bridge.Io!.Value.Size, bridge.Memory!.Value.Size, bridge.Prefetchable!.Value.Size));
        Assert.Equal(0UL, bridge.Prefetchable.Value.Start.Value % (64 * G));
        Assert.Equal(bridge.Secondary + 3, bridge.Subordinate);
    }

    [Fact]
    public void A_pinned_window_is_kept_and_holds_what_floats_inside()
    {
        FunctionDemand port =
            Bridge("rp0", 1) with { Bridge = new BridgeDemand([Device("d", 0, Bar(0, BarKind.Memory32, M))]) { MemoryWindow = Range(0xD000_0000, 16 * M) } };
        PlacementMap map = Build.Map(RequestFor(port));
        Assert.Equal(Range(0xD000_0000, 16 * M), map.Bridge("rp0").Memory);
        Assert.Equal(0xD000_0000UL, map.At("d", 0));
    }

    [Fact]
    public void A_pinned_BAR_outside_its_bridge_s_pinned_window_is_a_conflict()
    {
        FunctionDemand port =
            Bridge("rp0", 1) with
            {
                Bridge =
                new BridgeDemand([Device("d", 0, Bar(0, BarKind.Memory32, M, 0xC000_0000))]) { MemoryWindow = Range(0xD000_0000, 16 * M) }
            };
        PlacementConflict conflict = Build.Conflict(RequestFor(port));
        Assert.Contains("it is not inside the memory window of rp0, which is pinned at 0xd0000000-0xd0ffffff", conflict.Sentence, StringComparison.Ordinal);
        Assert.Equal((RemedyKind.MovePin, 0xD000_0000UL), (conflict.Remedy!.Kind, conflict.Remedy.Value));
    }

    [Fact]
    public void Pinned_bus_numbers_may_come_in_any_order()
    {
        FunctionDemand Pinned(string name, int device, byte bus) =>
            Bridge(name, device, Bridge(name + "x", 0)) with { Bridge = new BridgeDemand([Bridge(name + "x", 0)]) { SecondaryBus = bus } };
        PlacementMap map = Build.Map(RequestFor(Pinned("a", 1, 0x40), Pinned("b", 2, 0x05), Bridge("c", 3)));
        Assert.Equal((0x40, 0x05, 0x01), (map.Bridge("a").Secondary, map.Bridge("b").Secondary, map.Bridge("c").Secondary));
    }

    [Fact]
    public void A_pin_past_the_address_width_is_remedied_by_a_wider_one()
    {
        PlacementConflict conflict =
            Build.Conflict(RequestFor(Platform with { PhysicalAddressBits = 40 }, Device("g", 1, Bar(0, BarKind.Memory64Prefetchable, G, 0x6b80_0000_0000))));
        Assert.Equal((RemedyKind.WiderAddress, 47UL), (conflict.Remedy!.Kind, conflict.Remedy.Value));
    }

    [Fact]
    public void An_explanation_names_the_windows_and_the_neighbours()
    {
        PlacementMap map = Build.Map(RequestFor(Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Memory32, M)), Device("b", 1, Bar(0, BarKind.Memory32, M)))));
        Assert.True(PlacementExplainer.TryExplain(map, "b", 0, out IReadOnlyList<string>? lines));
        Assert.Equal(
        [
            "b bar0 (mem32, 1M) of 01:01.0 is at 0xc0100000-0xc01fffff",
            "rule: it lies in the memory window of rp0, 0xc0000000-0xc01fffff",
            "alignment: 0xc0100000 is a multiple of 1M",
            "window: the memory window of rp0, 0xc0000000-0xc01fffff",
            "window: pcie.0, 0xc0000000-0xfebfffff",
            "below: a bar0 ends at 0xc00fffff, with no gap",
        ],
        lines);
        Assert.False(PlacementExplainer.TryExplain(map, "b", 1, out _));
    }

    [Fact]
    public void A_BAR_that_the_address_width_has_no_room_for_is_refused_with_the_bits_that_would_do()
    {
        FunctionDemand gpu = Device("gpu", 1, Bar(0, BarKind.Memory64Prefetchable, 16 * G), Bar(2, BarKind.Memory64Prefetchable, 2 * M));
        PlacementConflict conflict = Build.Conflict(RequestFor(PlatformLimits.Q35(512 * M, 32) with { Mmio32Window = Range(0x4000_0000, G) }, gpu));
        Assert.Equal(PlacementConflictKind.AboveAddressBits, conflict.Kind);
        Assert.Equal(
            "gpu bar0 (mem64p, 16G) does not fit the guest's 32 physical address bits: 2G is the most that a BAR can have there; it would fit with 35 physical "
                + "address bits",
            conflict.Sentence);
    }

    [Fact]
    public void A_refusal_for_alignment_says_so_and_names_what_is_in_the_way()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(PlatformLimits.Q35(512 * M, 36), Device("a", 1, Bar(0, BarKind.Memory32, 2 * G))));
        Assert.Equal(PlacementConflictKind.NoSpace, conflict.Kind);
        Assert.Contains("it must start at a multiple of 2G, and the ECAM range at 0xb0000000-0xbfffffff is in the way at 0x80000000", conflict.Sentence,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_a_pinned_window_cannot_hold_is_proven_and_said_so()
    {
        FunctionDemand port = Bridge("rp1", 1) with
        {
            Bridge = new BridgeDemand(
                [Device("v100", 0, Bar(0, BarKind.Memory32, 16 * M), Bar(1, BarKind.Memory64Prefetchable, 32 * G),
                    Bar(3, BarKind.Memory64Prefetchable, 32 * M))])
            {
                PrefetchableWindow = Range(0x8_0000_0000, 2 * M),
            },
        };
        PlacementConflict conflict = Build.Conflict(RequestFor(PlatformLimits.Q35(8 * G, 46), port));
        Assert.Equal(PlacementConflictKind.NoSpace, conflict.Kind);
        Assert.StartsWith("there is no room for v100 bar1 (mem64p, 32G) in the prefetchable window of rp1", conflict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_small_BAR_goes_down_when_a_large_one_needs_the_whole_window_above()
    {
        PlatformLimits platform = PlatformLimits.Q35(512 * M, 46) with { Mmio64Window = Range(0x10_0000_0000, 16 * G) };
        FunctionDemand Gpu(BarKind small) => Bridge("rp", 1, Device("gpu", 0, Bar(0, BarKind.Memory64Prefetchable, 16 * G), Bar(2, small, 2 * M)));
        Assert.True(Build.Map(RequestFor(platform, Gpu(BarKind.Memory64Prefetchable))).At("gpu", 2) < PlatformLimits.FourGiB);
        FunctionDemand two = Bridge(
            "rp", 1, Device("a", 0, Bar(0, BarKind.Memory64Prefetchable, 16 * G)), Device("b", 1, Bar(0, BarKind.Memory64Prefetchable, 8 * G)));
        Assert.StartsWith("there is no room for", Build.Conflict(RequestFor(platform, two)).Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Ports_close_their_IO_windows_when_there_are_too_few_for_all()
    {
        FunctionDemand Port(int index) => Bridge($"rp{index}", index, Device($"d{index}", 0, Bar(0, BarKind.Io, 128), Bar(1, BarKind.Memory32, M)));
        PlacementMap map = Build.Map(RequestFor([.. Enumerable.Range(0, 31).Select(Port)]));
        Assert.Equal(15, map.Functions.Count(function => function.Bridge?.Io is not null));
        Assert.Equal(Enumerable.Range(15, 16).Select(index => ($"d{index}", 0, $"rp{index}")),
            map.LeftOut.Select(bar => (bar.Function, bar.Demand.Index, bar.Port)));
        string sentence = Assert.Single(LeftOutBar.Sentences(map.LeftOut));
        Assert.StartsWith("There are too few I/O ports for all, so the I/O windows of rp15, rp16,", sentence, StringComparison.Ordinal);
        Assert.EndsWith("d29 bar0, d30 bar0.", sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_has_nothing_but_ports_keeps_them()
    {
        FunctionDemand Port(int index) =>
            Bridge($"rp{index}", index,
                Device($"d{index}", 0, [Bar(0, BarKind.Io, 128), .. index < 20 ? [Bar(1, BarKind.Memory32, M)] : Array.Empty<BarDemand>()]));
        PlacementMap map = Build.Map(RequestFor([.. Enumerable.Range(0, 31).Select(Port)]));
        Assert.All(Enumerable.Range(20, 11), index => Assert.NotNull(map.Bar($"d{index}", 0)));
        PlacementConflict conflict = Build.Conflict(
            RequestFor([.. Enumerable.Range(0, 31).Select(index => Bridge($"rp{index}", index, Device($"d{index}", 0, Bar(0, BarKind.Io, 128))))]));
        Assert.Equal(PlacementConflictKind.NoSpace, conflict.Kind);
    }
}
