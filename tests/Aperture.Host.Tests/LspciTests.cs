using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Host.Tests;

public class LspciTests
{
    private static HostMachine Read(string text) => HostReader.ReadLspci(text, "dump.txt");

    [Theory]
    [InlineData(64)]
    [InlineData(256)]
    [InlineData(4096)]
    public void Each_length_of_dump_is_read(int length)
    {
        byte[] config = new ConfigBuilder(length).Bar64(0, 0x10_0000_0000).Bytes;
        HostFunction function = Read(Say.Dump("00:02.0", config)).At("0000:00:02.0");
        Assert.Equal(config, function.Config.ToArray());
        Assert.Equal(length == 4096, function.KnowsExtendedConfig);
    }

    [Fact]
    public void Region_lines_give_sizes_and_other_lines_the_rest()
    {
        const string Details = "\tFlags: bus master\n\tNUMA node: 1\n\tIOMMU group: 44\n"
            + "\tRegion 0: Memory at 1000000000 (64-bit, prefetchable) [size=64G]\n"
            + "\tRegion 2: I/O ports at e000 [disabled] [size=128]\n"
            + "\tExpansion ROM at df000000 [disabled] [size=512K]\n"
            + "\tCapabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)\n\t\tRegion 3: Memory at 00000000a0000000 (64-bit, prefetchable)\n"
            + "\tKernel driver in use: nvidia\n";
        byte[] config = new ConfigBuilder(64).Bar64(0, 0x10_0000_0000).Bar32(2, 0xE001).U32(0x30, 0xDF000000).Bytes;
        HostFunction function = Read(Say.Dump("10000:81:00.0", config, Details)).At("10000:81:00.0");
        Assert.Equal(("nvidia", 1, 44), (function.Driver, function.NumaNode, function.IommuGroup));
        Assert.Equal([(0, 64UL << 30, BarKind.Memory64Prefetchable), (2, 128UL, BarKind.Io)],
            function.Bars.Select(static bar => (bar.Index, bar.Size, bar.Kind)));
        Assert.Equal((512UL << 10, false), (function.Rom!.Size, function.Rom.Enabled));
        Assert.All(function.AllBars, static bar => Assert.Equal(SizeOrigin.Known, bar.Origin));
    }

    [Fact]
    public void Region_lines_without_numbers_find_their_bar_by_address()
    {
        const string Details = "\tMemory at e1000000 (32-bit, non-prefetchable) [size=16K]\n\tMemory at e0000000 (32-bit, non-prefetchable) [size=16M]\n";
        byte[] config = new ConfigBuilder(64).Bar32(1, 0xE000_0000).Bar32(3, 0xE100_0000).Bytes;
        HostFunction function = Read(Say.Dump("00:02.0", config, Details)).At("0000:00:02.0");
        Assert.Equal([(1, 16UL << 20), (3, 16UL << 10)], function.Bars.Select(static bar => (bar.Index, bar.Size)));
    }

    [Fact]
    public void Virtual_and_unassigned_regions_are_told_apart()
    {
        const string Details =
            "\tRegion 0: [virtual] Memory at 2000000000 (64-bit, prefetchable) [size=16K]\n\tRegion 3: Memory at <unassigned> (64-bit, non-prefetchable) "
                + "[disabled] [size=1M]\n";
        HostFunction function = Read(Say.Dump("00:02.0", new ConfigBuilder(64).Bytes, Details)).At("0000:00:02.0");
        Assert.Equal(new GuestAddress(0x20_0000_0000), function.Bars[0].Address);
        Assert.Equal((null, 1UL << 20, BarKind.Memory64), (function.Bars[1].Address, function.Bars[1].Size, function.Bars[1].Kind));
    }

    [Fact]
    public void A_size_is_bounded_by_alignment_the_next_start_and_the_window()
    {
        string dump = Say.Dump("00:01.0", ConfigBuilder.Bridge(1, 1, HostPortType.RootPort, 0xE000_0000, 3 << 20, length: 256).Bytes)
            + Say.Dump("01:00.0", new ConfigBuilder(64).Bar32(0, 0xE000_0000).Bar32(1, 0xE010_0000).Bar32(2, 0xE020_0000).Bar32(3, 0xE011_0000).Bytes)
            + Say.Dump("00:02.0", new ConfigBuilder(64).Bar32(0, 0xC001).Bar64(2, 0x40_0000_0000).Bytes);
        HostMachine machine = Read(dump);

        // Next start 1 MiB up; next start 64 KiB up; the window ends 1 MiB up; alignment and next start alike.
        Assert.Equal([1UL << 20, 1UL << 16, 1UL << 20, 1UL << 16], machine.At("0000:01:00.0").Bars.Select(static bar => bar.Size));

        // I/O BARs end at 256 bytes; a 64-bit BAR with nothing above it ends at its alignment.
        Assert.Equal([256UL, 1UL << 38], machine.At("0000:00:02.0").Bars.Select(static bar => bar.Size));
        Assert.All(machine.Functions.SelectMany(static f => f.Bars), static bar => Assert.Equal(SizeOrigin.Inferred, bar.Origin));
        Assert.Empty(machine.Findings);
    }

    [Fact]
    public void A_resizable_bar_says_its_size_in_a_hex_dump()
    {
        // BAR 0, one entry, 2^8 MiB now; 256 MiB to 32 GiB offered: bits 8 to 15 of the mask, 12 to 19 of the register.
        byte[] config = new ConfigBuilder().Bar64(0, 0x40_0000_0000).Extended(0x15, 0xFF << 12, 0 | 1 << 5 | 8 << 8).Bytes;
        HostFunction function = Read(Say.Dump("00:02.0", config)).At("0000:00:02.0");
        Assert.Equal((256UL << 20, SizeOrigin.Known), (function.Bars[0].Size, function.Bars[0].Origin));
        HostResizableBar bar = Assert.Single(function.ResizableBars);
        Assert.Equal((0, 256UL << 20, 32UL << 30), (bar.BarIndex, bar.CurrentSize, bar.LargestSize));
        Assert.True(bar.Offers(1UL << 30));
        Assert.False(bar.Offers(128UL << 20));
        Assert.False(bar.Offers(64UL << 30));
    }

    [Fact]
    public void A_bar_without_an_address_has_no_size_in_a_hex_dump()
    {
        HostBar bar = Read(Say.Dump("00:02.0", new ConfigBuilder(64).Bar64(0, 0).Bytes)).At("0000:00:02.0").Bars[0];
        Assert.Equal((BarKind.Memory64Prefetchable, null, 0UL, SizeOrigin.Unknown), (bar.Kind, bar.Address, bar.Size, bar.Origin));
    }

    [Fact]
    public void Dumps_that_follow_each_other_add_up()
    {
        byte[] whole = new ConfigBuilder().Bar32(0, 0xE000_0000).Bytes;
        string text = "$ lspci -vx\nlspci: Unable to load libkmod resources: error -2\n"
            + Say.Dump("00:02.0", whole[..64], "\tMemory at e0000000 (32-bit, non-prefetchable) [size=1M]\n\tKernel driver in use: some\n")
            + "$ lspci -xxxx\n" + Say.Dump("0000:00:02.0", whole);
        HostFunction function = Assert.Single(Read(text).Functions);
        Assert.Equal((4096, "some", 1UL << 20), (function.Config.Length, function.Driver, function.Bars[0].Size));
    }

    [Fact]
    public void Dumps_of_two_machines_are_refused()
    {
        string text = Say.Dump("00:02.0", new ConfigBuilder(64).Bytes) + Say.Dump("00:02.0", new ConfigBuilder(64, device: 0x9999).Bytes);
        Assert.Contains("line 7", Say.Refusal(() => Read(text)));
    }

    [Fact]
    public void Bytes_that_could_not_be_read_end_what_is_known()
    {
        string text = Say.Dump("00:02.0", new ConfigBuilder(256).Bytes).Replace("80: 00", "80: ??", StringComparison.Ordinal);
        Assert.Equal(64, Read(text).Functions[0].Config.Length);
    }

    [Fact]
    public void Numeric_ids_in_the_header_name_a_vf_whose_config_does_not()
    {
        string text = Say.Dump("01:10.0", new ConfigBuilder(64, 0xFFFF, 0xFFFF).Bytes)
            .Replace("Some device: Some vendor", "Ethernet controller [0200]: Maker Virtual Function [8086:10ed] (rev 01)", StringComparison.Ordinal);
        PciIdentity identity = Read(text).Functions[0].Identity;
        Assert.Equal((0x8086, 0x10ED), (identity.Vendor, identity.Device));
    }

    [Theory]
    [InlineData("00:02.0 Some device\n00: 12 34\n", "line 1")]
    [InlineData("00:02.0 Some device\n10: 12 34\n", "line 2")]
    [InlineData("00:02.0 Some device\n00: 12 3z\n", "line 2")]
    [InlineData("00:02.0 Some device\n00: 12 34 56 78 12 34 56 78 12 34 56 78 12 34 56 78 00\n", "line 2")]
    [InlineData("00: 12 34\n", "line 1")]
    [InlineData("00:02.0 Some device\n\tFlags: none\n", "no readable hex dump")]
    [InlineData("nothing\n", "holds no function")]
    [InlineData("", "holds no function")]
    public void A_damaged_dump_is_refused_with_its_line(string text, string place) => Assert.Contains(place, Say.Refusal(() => Read(text)));

    [Fact]
    public void The_flags_line_of_v_has_the_node_and_the_group()
    {
        const string Flags = "\tFlags: bus master, fast devsel, latency 0, IRQ 16, NUMA node 3, IOMMU group 41\n\tMemory at a3000000 (32-bit, "
            + "non-prefetchable) [size=16M]\n"
            + "\tExpansion ROM at 000c0000 [virtual] [disabled] [size=128K]\n\tCapabilities: [60] Power Management version 3\n\t\tFlags: PMEClk- DSI- NUMA "
            + "node 9\n";
        HostMachine machine = Read(Say.Dump("00:02.0", new ConfigBuilder(64).Bar32(0, 0xA300_0000).Bytes, Flags));
        HostFunction function = machine.At("0000:00:02.0");
        Assert.Equal((3, 41, true), (function.NumaNode, function.IommuGroup, machine.KnowsIommuGroups));
        Assert.Equal([0xC_0000u], function.AllBars.Where(static bar => bar.Fixed).Select(static bar => (uint)bar.Address!.Value.Value));
    }

    [Fact]
    public void A_listing_without_hex_and_numbers_has_what_its_lines_say()
    {
        const string Text = "00:1f.3 SMBus: Intel Corporation 6 Series SMBus Controller (rev 05)\n\tFlags: medium devsel, IRQ 18\n"
            + "\tMemory at fbffc000 (64-bit, non-prefetchable) [size=256]\n\tI/O ports at f040 [disabled] [size=32]\n\tKernel driver in use: i801_smbus\n\n"
            + "01:00.0 VGA compatible controller: Maker [Brand] Thing (rev a1) (prog-if 00 [VGA controller])\n\tControl: I/O+ Mem- BusMaster+\n"
            + "\tRegion 1: Memory at d0000000 (64-bit, prefetchable) [size=256M]\n\tRegion 5: I/O ports at e000 [size=128]\n\tCapabilities: <access denied>\n";
        HostMachine machine = Read(Text);
        HostFunction smbus = machine.At("0000:00:1f.3");
        Assert.Equal((0x0C0500u, 5, "i801_smbus"), (smbus.Identity.ClassCode, smbus.Identity.Revision, smbus.Driver));
        Assert.Equal([(0, BarKind.Memory64, 256UL, true), (2, BarKind.Io, 32UL, false)],
            smbus.Bars.Select(static bar => (bar.Index, bar.Kind, bar.Size, bar.Enabled)));
        HostFunction display = machine.At("0000:01:00.0");
        Assert.Equal([(1, false), (5, true)], display.Bars.Select(static bar => (bar.Index, bar.Enabled)));
        Assert.False(display.KnowsCapabilities);
        Assert.Contains(machine.Findings, static finding => finding.Text.Contains("-nn", StringComparison.Ordinal));
    }

    [Fact]
    public void A_line_without_end_is_refused() => Assert.Contains("line 1", Say.Refusal(() => Read(new string('x', 1 << 20))));

    [Fact]
    public void A_machine_of_thousands_of_functions_is_read()
    {
        string text = string.Concat(Enumerable.Range(0, 4000).Select(static i =>
            Say.Dump($"{0x10000 + i / 1000:x5}:{i / 256:x2}:{i / 8 % 32:x2}.{i % 8}", new ConfigBuilder(64).Bar64(0, ((ulong)i + 1) << 36).Bytes)));
        Assert.Equal(4000, Read(text).Functions.Length);
    }
}
