using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

public class BridgeRuleTests
{
    [Fact]
    public void A_64_bit_non_prefetchable_BAR_behind_a_bridge_sits_below_4_GiB()
    {
        PlacementMap map = Build.Map(RequestFor(Bridge("rp0", 1, Device("nvme0", 0, Bar(0, BarKind.Memory64, 16 * K)))));
        Assert.True(map.Bridge("rp0").Memory!.Value.Contains(map.Bar("nvme0", 0).Range));
        Assert.Null(map.Bridge("rp0").Prefetchable);
    }

    [Fact]
    public void A_64_bit_non_prefetchable_BAR_on_the_root_bus_may_go_high() =>
        Assert.True(Build.Map(RequestFor(Device("nvme0", 1, Bar(0, BarKind.Memory64, 16 * K)))).At("nvme0", 0) >= PlatformLimits.FourGiB);

    [Fact]
    public void A_64_bit_non_prefetchable_BAR_behind_a_bridge_cannot_be_pinned_high()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(Bridge("rp0", 1, Device("nvme0", 0, Bar(0, BarKind.Memory64, 16 * K, 0x10_0000_0000)))));
        Assert.Equal(PlacementConflictKind.BridgeWindow, conflict.Kind);
        Assert.Equal(
            "nvme0 bar0 (mem64, 16K) cannot be pinned at 0x1000000000: a non-prefetchable BAR must lie in the memory window of rp0, which ends below 4 GiB; "
                + "the nearest free place is 0xfeffc000",
            conflict.Sentence);
    }

    [Fact]
    public void A_32_bit_prefetchable_BAR_goes_into_the_memory_window_so_that_the_prefetchable_one_can_be_high()
    {
        PlacementMap map = Build.Map(RequestFor(Bridge("rp0", 1,
            Device("gpu0", 0, Bar(0, BarKind.Memory32Prefetchable, 16 * M), Bar(2, BarKind.Memory64Prefetchable, 8 * G)))));
        Assert.True(map.Bridge("rp0").Memory!.Value.Contains(map.Bar("gpu0", 0).Range));
        Assert.True(map.Bridge("rp0").Prefetchable!.Value.Start.Value >= PlatformLimits.FourGiB);
    }

    [Fact]
    public void Without_a_64_bit_window_prefetchable_BARs_go_low()
    {
        PlatformLimits narrow = Platform with { PhysicalAddressBits = 32 };
        PlacementMap map = Build.Map(RequestFor(narrow, Bridge("rp0", 1, Device("gpu0", 0, Bar(0, BarKind.Memory64Prefetchable, 256 * M)))));
        Assert.True(map.Bridge("rp0").Prefetchable!.Value.Last.Value < PlatformLimits.FourGiB);
        Assert.Empty(map.HostBridges[0].Mmio64Windows);
    }

    [Fact]
    public void A_prefetchable_BAR_pinned_low_goes_through_the_memory_window_when_others_are_high()
    {
        PlacementMap map = Build.Map(RequestFor(Bridge("rp0", 1,
            Device("a", 0, Bar(0, BarKind.Memory64Prefetchable, 16 * M, 0xE000_0000), Bar(2, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000)))));
        Assert.True(map.Bridge("rp0").Memory!.Value.Contains(map.Bar("a", 0).Range));
        Assert.Equal(0x6b80_0000_0000UL, map.Bridge("rp0").Prefetchable!.Value.Start.Value);
    }

    [Fact]
    public void A_low_prefetchable_window_is_used_when_the_memory_window_cannot_reach_the_pin()
    {
        // The memory window would have to run over root0, which lies between the two pins.
        PlacementMap map = Build.Map(RequestFor(
            Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Memory32, M, 0xC000_0000), Bar(2, BarKind.Memory64Prefetchable, 16 * M, 0xE000_0000))),
            Device("root0", 2, Bar(0, BarKind.Memory32, M, 0xD000_0000))));
        Assert.Equal(Range(0xE000_0000, 16 * M), map.Bridge("rp0").Prefetchable);
        Assert.Equal(Range(0xC000_0000, M), map.Bridge("rp0").Memory);
    }

    [Fact]
    public void Pins_of_one_window_type_far_apart_may_not_have_a_sibling_between_them()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(
            Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Memory32, M, 0xC000_0000)), Device("b", 1, Bar(0, BarKind.Memory32, M, 0xE000_0000))),
            Device("root0", 2, Bar(0, BarKind.Memory32, M, 0xD000_0000))));
        Assert.Equal(PlacementConflictKind.BridgeWindow, conflict.Kind);
        Assert.Equal(
            "b bar0 (mem32, 1M) cannot be pinned at 0xe0000000: with a bar0 at 0xc0000000 it stretches the memory window of rp0 over 0xc0000000-0xe00fffff, "
                + "which overlaps root0 bar0 at 0xd0000000-0xd00fffff; the nearest free place is 0xcff00000",
            conflict.Sentence);
    }

    [Fact]
    public void Io_pins_far_apart_may_not_have_a_sibling_between_them()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(
            Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Io, 256, 0x2000)), Device("b", 1, Bar(0, BarKind.Io, 256, 0x6000))),
            Bridge("rp1", 2, Device("c", 0, Bar(0, BarKind.Io, 32, 0x4000)))));
        Assert.Equal(PlacementConflictKind.BridgeWindow, conflict.Kind);
        Assert.Contains("c bar0", conflict.Sentence, StringComparison.Ordinal);
        Assert.Contains("the I/O window of rp0", conflict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void Siblings_behind_different_bridges_may_not_share_a_MiB()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(
            Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Memory32, 4 * K, 0xC000_0000))),
            Bridge("rp1", 2, Device("b", 0, Bar(0, BarKind.Memory32, 4 * K, 0xC000_1000)))));
        Assert.Equal(PlacementConflictKind.BridgeWindow, conflict.Kind);
        Assert.Equal("b bar0", conflict.Demand.Name);
        Assert.Equal(0xC010_0000UL, conflict.NearestAbove!.Value.Start.Value);
        Assert.Equal("the memory window of rp0", conflict.Obstacle!.Name);
    }

    [Fact]
    public void A_window_forced_by_pins_may_not_run_over_a_reserved_range()
    {
        PlatformLimits platform = Platform with { Reserved = [.. Platform.Reserved, new(Range(0xD000_0000, 4 * K), "the user's page")] };
        PlacementConflict conflict = Build.Conflict(RequestFor(platform,
            Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Memory32, M, 0xC000_0000), Bar(1, BarKind.Memory32, M, 0xE000_0000)))));
        Assert.Equal(PlacementConflictKind.BridgeWindow, conflict.Kind);
        Assert.Equal("the user's page", conflict.Obstacle!.Name);
        Assert.Contains("the user's page at 0xd0000000-0xd0000fff", conflict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pin_opens_every_window_above_it_at_its_address()
    {
        PlacementMap map = Build.Map(RequestFor(Bridge("rp0", 1, Bridge("up", 0, Bridge("dn", 0,
            Device("gpu0", 0, Bar(0, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000)))))));
        Assert.All(["rp0", "up", "dn"], name => Assert.Equal(Range(0x6b80_0000_0000, 64 * G), map.Bridge(name).Prefetchable));
    }

    [Fact]
    public void A_window_is_closed_when_nothing_needs_it()
    {
        BridgePlacement bridge = Build.Map(RequestFor(Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Memory32, M))))).Bridge("rp0");
        Assert.Null(bridge.Io);
        Assert.Null(bridge.Prefetchable);
        Assert.NotNull(bridge.Memory);
    }

    [Fact]
    public void Windows_have_their_granularity_even_for_one_small_BAR()
    {
        BridgePlacement bridge = Build.Map(RequestFor(Bridge("rp0", 1, Device("a", 0, Bar(0, BarKind.Memory32, 16), Bar(1, BarKind.Io, 4))))).Bridge("rp0");
        Assert.Equal(M, bridge.Memory!.Value.Size);
        Assert.Equal(4 * K, bridge.Io!.Value.Size);
    }

    [Fact]
    public void Buses_are_numbered_depth_first()
    {
        PlacementMap map = Build.Map(RequestFor(Bridge("rp1", 2), Bridge("rp0", 1, Bridge("up", 0, Bridge("dn0", 0), Bridge("dn1", 1)))));
        Assert.Equal((1, 4), (map.Bridge("rp0").Secondary, map.Bridge("rp0").Subordinate));
        Assert.Equal((3, 3), (map.Bridge("dn0").Secondary, map.Bridge("dn0").Subordinate));
        Assert.Equal((4, 4), (map.Bridge("dn1").Secondary, map.Bridge("dn1").Subordinate));
        Assert.Equal((5, 5), (map.Bridge("rp1").Secondary, map.Bridge("rp1").Subordinate));
    }

    [Fact]
    public void Pinned_bus_numbers_are_kept_and_leave_room_behind_them()
    {
        FunctionDemand pinned = Bridge("rp0", 1) with { Bridge = new BridgeDemand([]) { SecondaryBus = 0x40, SubordinateBus = 0x4F } };
        PlacementMap map = Build.Map(RequestFor(pinned, Bridge("rp1", 2)));
        Assert.Equal((0x40, 0x4F), (map.Bridge("rp0").Secondary, map.Bridge("rp0").Subordinate));
        Assert.Equal(0x50, map.Bridge("rp1").Secondary);
    }

    [Fact]
    public void A_bus_number_that_is_taken_is_a_conflict()
    {
        FunctionDemand Pinned(string name, int device) => Bridge(name, device) with { Bridge = new BridgeDemand([]) { SecondaryBus = 1 } };
        PlacementConflict conflict = Build.Conflict(RequestFor(Pinned("rp0", 1), Pinned("rp1", 2)));
        Assert.Equal(PlacementConflictKind.BusNumbers, conflict.Kind);
        Assert.Equal("rp1 cannot have secondary bus 1: pcie.0 has buses 2 to 255 left; it would fit with no pinned bus numbers and bridge windows",
            conflict.Sentence);
    }

    [Fact]
    public void Bus_numbers_run_out_in_a_sentence_and_not_in_a_stack_overflow()
    {
        FunctionDemand function = Device("leaf", 0);
        for (int depth = 0; depth < 5000; depth++)
        {
            function = Bridge($"b{depth}", 0, function);
        }

        Assert.Equal(PlacementConflictKind.BusNumbers, Build.Conflict(RequestFor(function)).Kind);
    }

    [Fact]
    public void Windows_that_are_no_powers_of_two_are_tried_in_other_gaps()
    {
        // Gaps of 4M and 3M for windows of 3M, 2M and 2M: the largest must not go to the lowest gap, though it fits there.
        PlatformLimits platform = Platform with { Mmio32Window = Range(0xC000_0000, 8 * M), Reserved = [new(Range(0xC040_0000, M), "a reserved MiB")] };
        FunctionDemand With(string name, int device, int count) =>
            Bridge(name, device, Device($"{name}d", 0, [.. Enumerable.Range(0, count).Select(index => Bar(index, BarKind.Memory32, M))]));
        PlacementMap map = Build.Map(RequestFor(platform, With("a", 1, 3), With("b", 2, 2), With("c", 3, 2)));
        Assert.Equal(Range(0xC050_0000, 3 * M), map.Bridge("a").Memory);
    }

    [Fact]
    public void What_was_not_found_is_not_called_impossible_and_what_is_too_much_is()
    {
        // 7M in gaps of 3M, 2M and 2M can be summed but not placed; 8M cannot even be summed.
        PlatformLimits platform = Platform with
        {
            Mmio32Window = Range(0xC000_0000, 9 * M),
            Mmio64Window = Range(0x10_0000_0000, M),
            Reserved = [new(Range(0xC030_0000, M), "a"), new(Range(0xC060_0000, M), "b")],
        };
        FunctionDemand With(int count) =>
            Bridge("rp0", 1, [.. Enumerable.Range(0, count).Select(index => Device($"d{index}", index, Bar(0, BarKind.Memory32, M)))]);
        Assert.Equal(PlacementConflictKind.NotFound, Build.Conflict(RequestFor(platform, With(7))).Kind);
        Assert.Equal(PlacementConflictKind.NoSpace, Build.Conflict(RequestFor(platform, With(8))).Kind);
    }
}
