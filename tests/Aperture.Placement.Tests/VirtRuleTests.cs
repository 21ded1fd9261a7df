using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

/// <summary>Where a machine of Arm's kind has its RAM, windows and ECAM, and what makes way for what.</summary>
public class VirtRuleTests
{
    private static PlacementRequest Ask(ulong ram, int bits, params FunctionDemand[] functions) => RequestFor(PlatformLimits.Virt(ram, bits), functions);

    private static FunctionDemand Card(int index, params BarDemand[] bars) => Bridge($"rp{index}", index, Device($"d{index}", 0, bars));

    [Fact]
    public void Without_wishes_everything_is_where_firmware_knows_it()
    {
        PlacementMap map = Build.Map(Ask(2 * G, 40, Card(1, Bar(0, BarKind.Memory32, M), Bar(2, BarKind.Memory64Prefetchable, G), Bar(4, BarKind.Io, 256))));
        Assert.Equal([Range(0x4000_0000, 2 * G)], map.Ram.Pieces);
        Assert.Equal(Range(0x1000_0000, 0x3000_0000), map.Ram.LowHole);
        Assert.Equal(Range(0x40_1000_0000, 256 * M), map.Ecam);
        Assert.Equal([Range(0x1000_0000, 0x2EFF_0000)], map.HostBridges[0].Mmio32Windows);
        Assert.Equal([Range(0x80_0000_0000, 512 * G)], map.HostBridges[0].Mmio64Windows);
        Assert.Equal([Range(0x1000, 0xF000)], map.HostBridges[0].IoWindows);
        Assert.Equal((0x1000_0000UL, 0x80_0000_0000UL), (map.At("d1", 0), map.At("d1", 2)));
    }

    [Fact]
    public void RAM_goes_on_past_4_GiB_in_one_piece()
    {
        PlacementMap map = Build.Map(Ask(600 * G, 44, Card(1, Bar(0, BarKind.Memory64Prefetchable, G))));
        Assert.Equal([Range(0x4000_0000, 3 * G), Range(4 * G, 597 * G)], map.Ram.Pieces);
        Assert.True(map.Ecam!.Value.Start.Value >= 601 * G);
        Assert.Equal(601 * G, map.HostBridges[0].Mmio64Windows[0].Start.Value);
    }

    [Fact]
    public void A_narrow_guest_has_its_ECAM_low()
    {
        PlacementMap map = Build.Map(Ask(G, 36, Card(1, Bar(0, BarKind.Memory64Prefetchable, G))));
        Assert.Equal(Range(0x3F00_0000, 16 * M), map.Ecam);
        Assert.Equal(4 * G, map.At("d1", 0));
        PlacementConflict conflict = Conflict(Ask(64 * G, 36));
        Assert.Equal(
            "guest RAM of 64G from 0x40000000 on does not fit in the guest's 36 physical address bits; it would fit with 37 physical address bits",
            conflict.Sentence);
    }

    // What was proposed for this platform gives 64-bit prefetchable BARs only; each of the other kinds has a test of its own here.
    [Fact]
    public void The_proposals_example_is_pinned_in_a_moved_window()
    {
        PlatformLimits platform = PlatformLimits.Virt(G, 47) with { Mmio64Window = Range(0x4000_0000_0000, 0x4000_0000_0000) };
        PlacementMap map = Build.Map(RequestFor(platform, Card(1, Bar(0, BarKind.Memory64Prefetchable, 64 * G, 0x6B80_0000_0000))));
        Assert.Equal(0x6B80_0000_0000UL, map.At("d1", 0));
        Assert.Equal([Range(0x4000_0000_0000, 0x4000_0000_0000)], map.HostBridges[0].Mmio64Windows);
    }

    [Fact]
    public void IO_BARs_are_pinned() =>
        Assert.Equal(0xC000UL, Build.Map(Ask(G, 40, Card(1, Bar(0, BarKind.Io, 256, 0xC000)))).At("d1", 0));

    [Fact]
    public void Memory_BARs_of_32_bits_are_pinned_and_RAM_makes_way_for_them()
    {
        PlacementMap map = Build.Map(Ask(
            3 * G, 40, Card(1, Bar(0, BarKind.Memory32, 16 * M, 0x2000_0000)), Card(2, Bar(0, BarKind.Memory32, 256 * M, 0x8000_0000))));
        Assert.Equal((0x2000_0000UL, 0x8000_0000UL), (map.At("d1", 0), map.At("d2", 0)));
        Assert.Equal([Range(0x4000_0000, G), Range(0x9000_0000, 0x7000_0000), Range(4 * G, 256 * M)], map.Ram.Pieces);
        Assert.Contains(Range(0x8000_0000, 256 * M), map.HostBridges[0].Mmio32Windows);
    }

    [Fact]
    public void Memory_BARs_of_64_bits_that_are_not_prefetchable_are_pinned_low_behind_a_port_and_high_on_the_root_bus()
    {
        PlacementMap map = Build.Map(Ask(
            G, 40, Card(1, Bar(0, BarKind.Memory64, 16 * M, 0x3000_0000)), Device("root", 2, Bar(0, BarKind.Memory64, 16 * M, 0x90_0000_0000))));
        Assert.Equal((0x3000_0000UL, 0x90_0000_0000UL), (map.At("d1", 0), map.At("root", 0)));
    }

    [Fact]
    public void Apertures_of_virtual_functions_are_pinned()
    {
        FunctionDemand nic = new("nic", 0, [Bar(0, BarKind.Memory64Prefetchable, M), Bar(BarIndex.Vf0, BarKind.Memory64Prefetchable, 64 * K, 0xA0_0000_0000)])
        {
            Sriov = new SriovDemand(8),
        };
        PlacementMap map = Build.Map(Ask(G, 40, Bridge("rp", 1, nic)));
        Assert.Equal(Range(0xA0_0000_0000, 512 * K), map.Bar("nic", BarIndex.Vf0).Range);
    }

    [Fact]
    public void RAM_makes_way_for_a_32_bit_window_that_was_set()
    {
        PlatformLimits platform = PlatformLimits.Virt(4 * G, 40) with { Mmio32Window = Range(0x8000_0000, G) };
        PlacementMap map = Build.Map(RequestFor(platform, Card(1, Bar(0, BarKind.Memory32, M))));
        Assert.Equal([Range(0x4000_0000, G), Range(0xC000_0000, G), Range(4 * G, 2 * G)], map.Ram.Pieces);
        Assert.Equal(0x8000_0000UL, map.At("d1", 0));
        PlacementConflict conflict = Conflict(RequestFor(platform with { Mmio32Window = Range(0x0900_0000, M) }));
        Assert.Contains("it must lie between 0x10000000, below which the board has its devices, and 4 GiB", conflict.Sentence, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x0400_0000UL, "the firmware flash")]
    [InlineData(0x0800_0000UL, "the interrupt controller")]
    [InlineData(0x0900_0000UL, "the board's devices")]
    [InlineData(0x3EFF_0000UL, "the window of the I/O ports")]
    public void A_pin_on_the_boards_own_places_is_refused_by_name(ulong pin, string owner)
    {
        PlacementConflict conflict = Conflict(Ask(G, 40, Device("d", 1, Bar(0, BarKind.Memory32, 64 * K, pin))));
        Assert.Contains($"it overlaps {owner} at", conflict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void ECAM_steps_aside_for_a_pin()
    {
        PlacementMap map = Build.Map(Ask(G, 40, Card(1, Bar(0, BarKind.Memory64Prefetchable, G, 0x40_0000_0000))));
        Assert.Equal(0x40_0000_0000UL, map.At("d1", 0));
        Assert.False(map.Ecam!.Value.Overlaps(Range(0x40_0000_0000, G)));
        Assert.True(map.Ecam.Value.Start.Value >= 4 * G);
    }
}
