using Aperture.Host.Model;
using Aperture.TestKit.Parts.Hosts;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Host.Tests;

public class ConsistencyTests
{
    private const ulong Memory32 = 0x40200;

    private static HostMachine Endpoints(params (ulong Start, ulong Size)[] bars)
    {
        using TreeBuilder tree = new();
        for (int i = 0; i < bars.Length; i++)
        {
            tree.Function("pci0000:00", $"0000:00:{i:x2}.0", new ConfigBuilder(64).Bytes,
                TreeBuilder.Lines(TreeBuilder.Line(bars[i].Start, bars[i].Size, Memory32)));
        }

        return tree.Read();
    }

    private static string Dump(params (string Address, ConfigBuilder Config)[] functions) =>
        string.Concat(functions.Select(static function => Say.Dump(function.Address, function.Config.Bytes)));

    [Fact]
    public void Overlapping_bars_are_an_error_that_names_both()
    {
        HostMachine machine = Endpoints((0xE000_0000, 1 << 20), (0xE008_0000, 1 << 19), (0xE010_0000, 1 << 20));
        HostFinding finding = Assert.Single(machine.Findings);
        Assert.Equal((HostFindingSeverity.Error, HostFindingKind.Overlap), (finding.Severity, finding.Kind));
        Assert.Equal("bar0 of 0000:00:01.0 at 0xe0080000-0xe00fffff overlaps bar0 of 0000:00:00.0 at 0xe0000000-0xe00fffff", finding.Text);
        Assert.Contains(finding.Text, Say.Refusal(machine.RequireConsistent));
    }

    [Fact]
    public void A_small_bar_between_does_not_hide_an_overlap()
    {
        HostMachine machine = Endpoints((0xE000_0000, 2 << 20), (0xE000_1000, 4096), (0xE010_0000, 1 << 20));
        Assert.Equal([Say.Address("0000:00:01.0"), Say.Address("0000:00:02.0")], machine.Findings.Select(static finding => finding.Function));
    }

    [Fact]
    public void An_overlap_is_found_exactly_when_two_bars_share_a_byte()
    {
        Gen<(ulong Start, ulong Size)> bars = from size in Gen.Choose(12, 16)
                                              from at in Gen.Choose(0, 31)
                                              select (0xE000_0000 + ((ulong)at << 14 & ~((1UL << size) - 1)), 1UL << size);
        Prop.ForAll(bars.ArrayOf().Select(static list => list.Take(6).ToArray()).ToArbitrary(), static list =>
        {
            // The oracle compares every pair.
            bool overlap = list.Select((a, i) => list.Skip(i + 1).Any(b => a.Start < b.Start + b.Size && b.Start < a.Start + a.Size)).Contains(true);
            Assert.Equal(overlap, Endpoints(list).Findings.Any(static finding => finding.Kind == HostFindingKind.Overlap));
        }).Holds();
    }

    [Fact]
    public void An_inferred_size_is_never_below_the_true_one_nor_reaches_into_the_next_bar()
    {
        Gen<int> powers = Gen.Choose(12, 20);
        Prop.ForAll(powers.ListOf().Select(static list => list.Take(6).OrderByDescending(static power => power).ToArray()).ToArbitrary(), static sizes =>
        {
            // Falling sizes packed without gaps: each is aligned to itself, and neighbours touch.
            List<(uint Start, uint Size)> truth = [];
            uint at = 0xE000_0000;
            foreach (int power in sizes)
            {
                truth.Add((at, 1u << power));
                at += 1u << power;
            }

            HostMachine machine =
                HostReader.ReadLspci(
                    Dump([.. truth.Select(static (bar, i) => ($"00:{i:x2}.0", new ConfigBuilder(64).Bar32(0, bar.Start))), ("00:1f.0", new ConfigBuilder(64))]),
                    "sizes");
            for (int i = 0; i < truth.Count; i++)
            {
                HostBar bar = machine.Functions[i].Bars[0];
                Assert.True(bar.Size >= truth[i].Size);
                Assert.True(i + 1 == truth.Count || bar.Size == truth[i].Size);
            }
        }).Holds();
    }

    [Fact]
    public void Neighbours_do_not_overlap()
    {
        HostMachine machine = Endpoints((0xE000_0000, 1 << 20), (0xE010_0000, 1 << 20));
        Assert.Empty(machine.Findings);
        machine.RequireConsistent();
    }

    [Theory]
    [InlineData(0xE000_0000, 3 << 20, HostFindingKind.BarSize)]
    [InlineData(0xE000_0000, 8, HostFindingKind.BarSize)]
    [InlineData(0xE008_0000, 1 << 20, HostFindingKind.Alignment)]
    public void A_size_or_place_that_no_bar_can_have_is_an_error(ulong start, ulong size, HostFindingKind kind)
    {
        HostFinding finding = Assert.Single(Endpoints((start, size)).Findings);
        Assert.Equal((HostFindingSeverity.Error, kind), (finding.Severity, finding.Kind));
    }

    [Fact]
    public void A_bar_outside_its_window_is_a_warning_and_a_subtractive_bridge_has_no_outside()
    {
        foreach (uint subtractive in (uint[])[0, 1])
        {
            using TreeBuilder tree = new();
            byte[] bridge = ConfigBuilder.Bridge(1, 1, HostPortType.RootPort, 0xE000_0000, 1 << 20, length: 64).U32(8, 0x060400_00 | subtractive << 8).Bytes;
            tree.Function("pci0000:00", "0000:00:01.0", bridge);
            tree.Function("pci0000:00/0000:00:01.0", "0000:01:00.0", new ConfigBuilder(64).Bytes,
                TreeBuilder.Lines(TreeBuilder.Line(0xE010_0000, 1 << 20, Memory32)));
            HostMachine machine = tree.Read();
            Assert.Equal(subtractive == 0 ? [HostFindingKind.OutsideWindow] : [], machine.Findings.Select(static finding => finding.Kind));
            machine.RequireConsistent();
        }
    }

    [Fact]
    public void Windows_of_siblings_must_not_overlap_and_must_lie_inside_their_parents()
    {
        HostMachine machine = HostReader.ReadLspci(
            Dump(
                ("00:01.0", ConfigBuilder.Bridge(1, 3, HostPortType.RootPort, 0xE000_0000, 4 << 20)),
                ("01:00.0", ConfigBuilder.Bridge(2, 2, HostPortType.PcieToPciBridge, 0xE000_0000, 2 << 20)),
                ("01:01.0", ConfigBuilder.Bridge(3, 3, HostPortType.PcieToPciBridge, 0xE010_0000, 4 << 20))),
            "windows");
        Assert.Equal([(HostFindingSeverity.Error, HostFindingKind.Overlap), (HostFindingSeverity.Warning, HostFindingKind.OutsideWindow)],
            machine.Findings.Select(static f => (f.Severity, f.Kind)));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(5, 5)]
    [InlineData(3, 9)]
    public void A_bridge_that_contains_itself_is_refused(byte secondary, byte subordinate)
    {
        string text = Dump(("05:01.0", ConfigBuilder.Bridge(secondary, subordinate, HostPortType.RootPort)));
        if (secondary == 0)
        {
            // Without bus numbers it contains nothing.
            Assert.False(HostReader.ReadLspci(text, "bridge").Functions[0].Bridge!.Configured);
            return;
        }

        Assert.Contains("contains itself", Say.Refusal(() => HostReader.ReadLspci(text, "bridge")));
    }

    [Fact]
    public void Bus_numbers_in_circles_are_refused()
    {
        string text = Dump(("05:01.0", ConfigBuilder.Bridge(7, 7, HostPortType.RootPort)), ("07:00.0", ConfigBuilder.Bridge(5, 5, HostPortType.RootPort)));
        Assert.Contains("circles", Say.Refusal(() => HostReader.ReadLspci(text, "circle")));
    }

    [Fact]
    public void Two_bridges_to_one_bus_are_refused()
    {
        string text = Dump(("00:01.0", ConfigBuilder.Bridge(7, 7, HostPortType.RootPort)), ("00:02.0", ConfigBuilder.Bridge(7, 7, HostPortType.RootPort)));
        Assert.Contains("below two bridges", Say.Refusal(() => HostReader.ReadLspci(text, "twice")));
    }

    [Fact]
    public void Buses_that_do_not_nest_are_a_warning()
    {
        string text = Dump(("00:01.0", ConfigBuilder.Bridge(1, 2, HostPortType.RootPort)),
            ("01:00.0", ConfigBuilder.Bridge(2, 9, HostPortType.SwitchUpstream)));
        Assert.Equal(HostFindingKind.BusNumbers, Assert.Single(HostReader.ReadLspci(text, "nest").Findings).Kind);
    }

    [Fact]
    public void Capability_lists_in_circles_end()
    {
        ConfigBuilder config = new ConfigBuilder().U16(6, 0x10).U8(0x34, 0x40).U16(0x40, 0x4009).U32(0x100, 0x100_1_0001);
        HostFunction function = HostReader.ReadLspci(Dump(("00:01.0", config)), "loop").Functions[0];
        Assert.Null(function.Pcie);
        Assert.Null(function.Acs);
    }

    [Fact]
    public void Bars_that_the_window_above_cannot_hold_are_a_finding_that_says_so()
    {
        string bridge = Say.Dump("00:01.0", ConfigBuilder.Bridge(1, 1, HostPortType.RootPort, 0x8000_0000, 16 << 20, 0x8_0000_0000, 2 << 20).Bytes);
        const string Details = "\tControl: I/O- Mem- BusMaster-\n\tRegion 0: Memory at 80000000 (32-bit, non-prefetchable) [disabled] [size=16M]\n"
            + "\tRegion 1: Memory at <unassigned> (64-bit, prefetchable) [disabled] [size=32G]\n\tRegion 3: Memory at <unassigned> (64-bit, prefetchable) "
            + "[disabled] [size=32M]\n";
        string device = Say.Dump("01:00.0", new ConfigBuilder(64).U16(4, 0).Bar32(0, 0x8000_0000).Bar64(1, 0).Bar64(3, 0).Bytes, Details);
        HostFinding finding = Assert.Single(HostReader.ReadLspci(bridge + device, "dump").Findings);
        Assert.Equal((HostFindingSeverity.Warning, HostFindingKind.NoAddress), (finding.Severity, finding.Kind));
        Assert.Equal("bar1 (32G) and bar3 (32M) of 0000:01:00.0 have no address: the prefetchable window of 0000:00:01.0 above holds 2M, and they need 32800M "
            + "there", finding.Text);
    }

    [Fact]
    public void Vf_bars_without_an_address_are_a_finding_with_the_room_that_they_need()
    {
        using TreeBuilder tree = new();
        byte[] config = new ConfigBuilder().Extended(0x10, 0, 0, 7u << 16 | 7, 0, 1u << 16 | 1, 0x5678u << 16, 1, 1, 4, 0, 0xC, 0, 0, 0, 0).Bytes;
        string[] lines = TreeBuilder.Lines();
        const ulong Unset = 0x2000_0000;
        lines[7] = TreeBuilder.Line(0, 7 * (16UL << 20), 0x140204 | Unset);
        lines[9] = TreeBuilder.Line(0, 7 * (512UL << 20), 0x14220C | Unset);
        tree.Function("pci0000:00", "0000:00:02.0", config, lines);
        HostFinding finding = Assert.Single(tree.Read().Findings);
        Assert.Equal(
            "SR-IOV of 0000:00:02.0 cannot be turned on, because its VF BARs 0, 2 (3696M in all for 7 VFs) have no address; they need a 64-bit window, or a "
                + "window of 4G below 4 GiB",
            finding.Text);
    }
}
