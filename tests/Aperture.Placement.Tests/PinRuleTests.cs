using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

public class PinRuleTests
{
    [Fact]
    public void A_pinned_BAR_is_where_the_user_put_it()
    {
        BarPlacement bar = Build.Map(RequestFor(Device("gpu0", 1, Bar(2, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000)))).Bar("gpu0", 2);
        Assert.Equal(Range(0x6b80_0000_0000, 64 * G), bar.Range);
        Assert.Equal(PlacementReasonKind.Pinned, bar.Why.Kind);
        Assert.Equal("the user pinned it here", bar.Why.Text);
    }

    [Fact]
    public void A_pin_to_the_hosts_address_says_so_and_one_that_has_a_place_of_its_own_does_not()
    {
        BarDemand asHost = Bar(2, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000) with { PinIsHosts = true };
        Assert.Equal("pinned where the host has it", Build.Map(RequestFor(Device("gpu0", 1, asHost))).Bar("gpu0", 2).Why.Text);
        Assert.DoesNotContain("host", Build.Map(RequestFor(Device("gpu0", 1, asHost with { Pin = null })))
            .Bar("gpu0", 2).Why.Text.Replace("host bridge", "", StringComparison.Ordinal), StringComparison.Ordinal);
    }

    [Fact]
    public void Two_pins_that_overlap_are_one_sentence_with_both_names_and_the_nearest_place()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(
            Device("gpu0", 1, Bar(2, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000)),
            Device("nic0", 2, Bar(2, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000))));
        Assert.Equal(PlacementConflictKind.Overlap, conflict.Kind);
        Assert.Equal(
            "nic0 bar2 (mem64p, 64G) cannot be pinned at 0x6b8000000000: it overlaps gpu0 bar2 at 0x6b8000000000-0x6b8fffffffff; the nearest free place is "
                + "0x6b9000000000",
            conflict.Sentence);
        Assert.Equal(Range(0x6b70_0000_0000, 64 * G), conflict.NearestBelow);
        Assert.Equal(Range(0x6b90_0000_0000, 64 * G), conflict.NearestAbove);
        Assert.Equal(new ConflictParty("gpu0 bar2", Range(0x6b80_0000_0000, 64 * G)) { Function = "gpu0", Bar = 2 }, conflict.Obstacle);
    }

    [Fact]
    public void A_pin_is_a_multiple_of_its_size()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(Device("nic0", 1, Bar(0, BarKind.Memory32, M, 0xE008_0000))));
        Assert.Equal(PlacementConflictKind.Misaligned, conflict.Kind);
        Assert.Equal(
            "nic0 bar0 (mem32, 1M) cannot be pinned at 0xe0080000: it must be a multiple of its size, 0x100000; the nearest free place is 0xe0100000",
            conflict.Sentence);
    }

    [Fact]
    public void A_pin_stays_within_the_address_width()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(
            Platform with { PhysicalAddressBits = 46 }, Device("gpu0", 1, Bar(0, BarKind.Memory64Prefetchable, 64 * G, 0x6b80_0000_0000))));
        Assert.Equal(PlacementConflictKind.AboveAddressBits, conflict.Kind);
        Assert.Equal(
            "gpu0 bar0 (mem64p, 64G) cannot be pinned at 0x6b8000000000: it would pass the guest's 46 physical address bits, which end at 0x3fffffffffff; the "
                + "nearest free place is 0x3ff000000000",
            conflict.Sentence);
    }

    [Theory]
    [InlineData(BarKind.Memory32)]
    [InlineData(BarKind.Memory32Prefetchable)]
    [InlineData(BarKind.Rom)]
    public void A_32_bit_BAR_cannot_be_pinned_above_4_GiB(BarKind kind)
    {
        int index = kind == BarKind.Rom ? BarKinds.RomIndex : 0;
        PlacementConflict conflict = Build.Conflict(RequestFor(Device("nic0", 1, Bar(index, kind, M, 0x1_0000_0000))));
        Assert.Equal(PlacementConflictKind.OutOfRange32, conflict.Kind);
        Assert.True(conflict.NearestBelow!.Value.Last.Value < PlatformLimits.FourGiB);
    }

    [Theory]
    [InlineData(0xB000_0000, "the ECAM range")]
    [InlineData(0xFEE0_0000, "the local APIC and MSI window")]
    [InlineData(0xFEC0_0000, "the I/O APIC")]
    [InlineData(0x0010_0000, "guest RAM")]
    public void A_pin_cannot_lie_on_what_the_platform_has_taken(ulong address, string origin)
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(Device("nic0", 1, Bar(0, BarKind.Memory32, 4 * K, address))));
        Assert.Equal(PlacementConflictKind.Overlap, conflict.Kind);
        Assert.Equal(origin, conflict.Obstacle!.Name);
        Assert.Contains($"it overlaps {origin}", conflict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pin_outside_a_window_that_the_user_set_is_an_error()
    {
        PlatformLimits platform = Platform with { Mmio64Window = Range(0x6b80_0000_0000, T) };
        PlacementConflict conflict = Build.Conflict(RequestFor(platform, Device("gpu0", 1, Bar(0, BarKind.Memory64Prefetchable, 64 * G, 0x5000_0000_0000))));
        Assert.Equal(PlacementConflictKind.OutOfWindow, conflict.Kind);
        Assert.Equal(
            "gpu0 bar0 (mem64p, 64G) cannot be pinned at 0x500000000000: it is not inside the 64-bit memory window 0x6b8000000000-0x6c7fffffffff; the nearest "
                + "free place is 0x6b8000000000",
            conflict.Sentence);
    }

    [Fact]
    public void A_pin_outside_the_automatic_window_adds_a_window()
    {
        PlacementMap map = Build.Map(RequestFor(Device("nic0", 1, Bar(0, BarKind.Memory32, 64 * K, 0xFED4_0000))));
        Assert.Equal([Range(0xC000_0000, 0x3EC0_0000), Range(0xFED4_0000, 64 * K)], map.HostBridges[0].Mmio32Windows);
    }

    [Fact]
    public void RAM_moves_for_a_pin_below_the_hole()
    {
        PlacementMap map = Build.Map(RequestFor(Device("nic0", 1, Bar(0, BarKind.Memory32, M, 0x5000_0000))));
        Assert.Equal(Range(0, 0x5000_0000), map.Ram.Low);
        Assert.Equal(Range(PlatformLimits.FourGiB, 0x3000_0000), map.Ram.High);
    }

    [Fact]
    public void The_hole_grows_until_the_32_bit_demands_fit_and_no_further()
    {
        PlacementMap map = Build.Map(RequestFor(Device("nic0", 1, Bar(0, BarKind.Memory32, 512 * M), Bar(1, BarKind.Memory32, 512 * M))));
        Assert.Equal(0x8000_0000UL, map.Ram.LowHoleStart.Value);
        Assert.Equal(0xC000_0000UL, Build.Map(RequestFor(Device("nic0", 1, Bar(0, BarKind.Memory32, 512 * M)))).At("nic0", 0));
    }

    [Fact]
    public void What_cannot_fit_is_called_impossible_with_sizes()
    {
        PlatformLimits platform = Platform with { Mmio32Window = Range(0xE000_0000, 2 * M) };
        PlacementConflict conflict =
            Build.Conflict(RequestFor(platform, Device("a", 1, Bar(0, BarKind.Memory32, M)), Device("b", 2, Bar(0, BarKind.Memory32, 2 * M))));
        Assert.Equal(PlacementConflictKind.NoSpace, conflict.Kind);
        Assert.Equal(
            "there is no room for a bar0 (mem32, 1M) in the 32-bit memory window 0xe0000000-0xe01fffff: 3M in all are asked for there, 2M are free, and the "
                + "largest gap is 2M; it would fit with a 32-bit memory window of 0xe0000000-0xe03fffff",
            conflict.Sentence);
    }

    [Fact]
    public void A_64_bit_BAR_goes_low_when_the_64_bit_window_is_full()
    {
        PlatformLimits platform = Platform with { Mmio64Window = Range(0x10_0000_0000, M) };
        PlacementMap map = Build.Map(RequestFor(platform, Device("a", 1, Bar(0, BarKind.Memory64, M)), Device("b", 2, Bar(0, BarKind.Memory64, M))));
        Assert.Equal([0x10_0000_0000UL, 0xC000_0000UL], [map.At("a", 0), map.At("b", 0)]);
    }

    [Fact]
    public void Automatic_ECAM_keeps_clear_of_pins()
    {
        PlatformLimits platform = Platform with { Ecam = new EcamDemand(256 * M, null) };
        PlacementMap map = Build.Map(RequestFor(platform, Device("a", 1, Bar(0, BarKind.Memory32, M, 0xB800_0000))));
        Assert.Equal(Range(0xC000_0000, 256 * M), map.Ecam);
    }

    [Fact]
    public void A_window_that_RAM_needs_is_refused_with_the_nearest_base()
    {
        PlatformLimits platform = PlatformLimits.Q35(8 * G, 40) with { Mmio64Window = Range(0x1_0000_0000, 64 * G) };
        PlacementConflict conflict = Build.Conflict(RequestFor(platform));
        Assert.Equal(PlacementConflictKind.BadLimit, conflict.Kind);
        Assert.Contains("the nearest base that does not is 0x250000000", conflict.Sentence, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, BarKind.Memory32, 3 * M, PlacementConflictKind.NotPowerOfTwo)]
    [InlineData(0, BarKind.Memory32, 0, PlacementConflictKind.NotPowerOfTwo)]
    [InlineData(0, BarKind.Memory32, 8, PlacementConflictKind.BadDemand)]
    [InlineData(0, BarKind.Memory32, 4 * G, PlacementConflictKind.BadDemand)]
    [InlineData(5, BarKind.Memory64, M, PlacementConflictKind.BadDemand)]
    [InlineData(6, BarKind.Memory32, M, PlacementConflictKind.BadDemand)]
    [InlineData(0, BarKind.Rom, 64 * K, PlacementConflictKind.BadDemand)]
    [InlineData(-1, BarKind.Io, 16, PlacementConflictKind.BadDemand)]
    [InlineData(0, BarKind.Memory64, 1UL << 63, PlacementConflictKind.BadDemand)]
    public void What_is_no_BAR_is_refused_by_name(int index, BarKind kind, ulong size, PlacementConflictKind expected)
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(Device("nic0", 1, Bar(index, kind, size))));
        Assert.Equal(expected, conflict.Kind);
        Assert.StartsWith("nic0 ", conflict.Sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void A_register_cannot_serve_two_BARs()
    {
        PlacementConflict conflict = Build.Conflict(RequestFor(Device("nic0", 1, Bar(0, BarKind.Memory64, M), Bar(1, BarKind.Memory32, M))));
        Assert.Equal(PlacementConflictKind.BadDemand, conflict.Kind);
    }

    [Fact]
    public void Names_and_places_are_unique()
    {
        Assert.Equal(PlacementConflictKind.BadDemand, Build.Conflict(RequestFor(Device("a", 1), Device("a", 2))).Kind);
        PlacementConflict conflict = Build.Conflict(RequestFor(Device("a", 1), Device("b", 1)));
        Assert.Equal("b cannot be function 01.0 below pcie.0: a is there", conflict.Sentence);
    }

    [Theory]
    [InlineData(31)]
    [InlineData(58)]
    public void The_address_width_has_limits(int bits) =>
        Assert.Equal(PlacementConflictKind.BadLimit, Build.Conflict(RequestFor(Platform with { PhysicalAddressBits = bits })).Kind);

    [Theory]
    [InlineData(ulong.MaxValue)]
    [InlineData(0x8000_0000_0000_0000)]
    [InlineData(0)]
    public void Extreme_pins_are_conflicts_and_never_exceptions(ulong address)
    {
        foreach (BarKind kind in Enum.GetValues<BarKind>())
        {
            int index = kind == BarKind.Rom ? BarKinds.RomIndex : 0;
            PlacementConflict conflict = Build.Conflict(RequestFor(Bridge("rp0", 1, Device("d", 0, Bar(index, kind, 64 * K, address)))));
            Assert.StartsWith("d ", conflict.Sentence, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Every_automatic_BAR_says_why_it_is_there()
    {
        PlacementMap map = Build.Map(RequestFor(
            Device("a", 1, Bar(0, BarKind.Memory64, M)), Device("b", 2, Bar(0, BarKind.Memory64, M)),
            Bridge("rp0", 3, Device("c", 0, Bar(0, BarKind.Memory32, M)))));
        Assert.Equal((PlacementReasonKind.FirstFit, "the lowest multiple of 1M in the 64-bit memory window"),
            (map.Bar("a", 0).Why.Kind, map.Bar("a", 0).Why.Text));
        Assert.Equal(PlacementReasonKind.Pushed, map.Bar("b", 0).Why.Kind);
        Assert.Contains("a bar0", map.Bar("b", 0).Why.Text, StringComparison.Ordinal);
        Assert.Equal(PlacementReasonKind.BridgeWindow, map.Bar("c", 0).Why.Kind);
    }

    [Fact]
    public void A_request_without_a_host_bridge_is_a_conflict() =>
        Assert.Equal(PlacementConflictKind.BadLimit, Build.Conflict(new PlacementRequest(Platform, [])).Kind);

    [Fact]
    public void Require_throws_the_sentences_as_a_configuration_error()
    {
        PlacementException error = Assert.Throws<PlacementException>(() => PlacementSolver.Solve(RequestFor(Device("a", 1), Device("a", 2))).Require());
        Assert.Equal(ApertureException.ConfigurationError, error.ExitCode);
        Assert.Equal("two functions are called a: names must be unique", error.Message);
    }
}
