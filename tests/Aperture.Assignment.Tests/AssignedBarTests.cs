using Aperture.Linux;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>What answers in the BARs of an assigned function.</summary>
public class AssignedBarTests
{
    private static readonly ulong Page = (ulong)Environment.SystemPageSize;

    private static IReadOnlyList<BarPart> Parts(Bench bench, int bar) => bench.Function.PartsOf(bench.Function.FindBar(bar)!);

    private static string Describe(IReadOnlyList<BarPart> parts) =>
        string.Join(" ", parts.Select(p => $"{p.Offset:x}+{p.Region.Size:x}:{(p.Region.Kind == RegionKind.Device ? "mapped" : "trapped")}"));

    [Fact]
    public void Kinds_and_sizes_are_the_devices()
    {
        using Bench bench = new(SampleConfig.Network());
        Assert.Equal(
            [(0, BarKind.Memory32, 0x20000ul), (1, BarKind.Memory32, 0x20000ul), (2, BarKind.Io, 0x20ul), (3, BarKind.Memory32, 0x4000ul),
                (6, BarKind.Rom, 0x40000ul)],
            bench.Function.Bars.Select(b => (b.Index, b.Kind, b.Size)));
        using Bench nvme = Bench.Nvme();
        Assert.Equal(BarKind.Memory64, Assert.Single(nvme.Function.Bars).Kind);
    }

    [Fact]
    public void A_bar_that_no_function_could_have_is_left_out_with_a_note()
    {
        FakeDevice device = SampleConfig.Teaching().AddRegion(2, 0x3000).AddRegion(3, 8);
        using Bench bench = new(device);
        Assert.Single(bench.Function.Bars);
        Assert.Equal(2, bench.Function.Notes.Count);
    }

    // As mtty has it: 255 bytes of configuration space, and a BAR of ports that is trapped.
    [Fact]
    public void A_device_with_a_few_bytes_less_of_configuration_space_is_taken_and_the_rest_is_zero()
    {
        byte[] config = SampleConfig.Header(0x4348, 0x3253, 0x070002, size: 255).Put32(0x10, 1).Bytes;
        FakeDevice device = new FakeDevice(config).AddRegion(0, 8, mappable: false);
        device.CanReset = false;
        using Bench bench = new(device);
        Bar bar = Assert.Single(bench.Function.Bars);
        Assert.Equal((0, BarKind.Io, 8UL), (bar.Index, bar.Kind, bar.Size));
        Assert.Equal(0x3253_4348U, bench.Function.ReadConfig(0, 4));
        Assert.Equal(0U, bench.Function.ReadConfig(0xFC, 4));
        Assert.Equal([new DeviceBar(0, BarKind.Io, 8)], DeviceBars.Read(device));
        Assert.Throws<ApertureException>(() => new Bench(new FakeDevice(config[..63])));
    }

    [Fact]
    public void Regions_of_the_driver_s_own_kind_are_passed_over_with_a_word()
    {
        FakeDevice device = SampleConfig.Teaching().AddRegion(9, 4096).AddRegion(10, 0);
        using Bench bench = new(device);
        Assert.Equal("region 9 of 4K is left out: it is of its driver's own kind, or for migration", Assert.Single(bench.Function.Notes));
    }

    [Fact]
    public void What_an_open_device_has_is_what_its_function_gets_with_the_ROM_of_the_region_s_size()
    {
        FakeDevice device = SampleConfig.Network().AddRegion(6, 0x3_0000, mappable: false);
        using Bench bench = new(device);
        IReadOnlyList<DeviceBar> found = DeviceBars.Read(device);
        Assert.Equal(bench.Function.Bars.Where(b => b.Kind != BarKind.Rom).Select(b => new DeviceBar(b.Index, b.Kind, b.Size)), found.SkipLast(1));
        Assert.Equal(new DeviceBar(BarKinds.RomIndex, BarKind.Rom, 0x4_0000), found[^1]);
    }

    [Fact]
    public void A_mappable_bar_is_one_mapped_piece_and_is_mapped_once()
    {
        using Bench bench = new(SampleConfig.Network());
        Assert.DoesNotContain(bench.Log, s => s.StartsWith("map 0", StringComparison.Ordinal));
        Assert.Equal("0+20000:mapped", Describe(Parts(bench, 0)));
        Assert.Same(Parts(bench, 0), Parts(bench, 0));
        Assert.Single(bench.Log, "map 0 0x0");
    }

    [Fact]
    public void The_msix_structures_of_a_mappable_bar_overlay_just_their_bytes()
    {
        using Bench bench = Bench.Nvme();
        Assert.Equal("0+2000:mapped 2000+80:trapped 2080+f80:mapped 3000+8:trapped 3008+ff8:mapped", Describe(Parts(bench, 0)));
    }

    [Fact]
    public void Where_the_table_may_not_be_mapped_its_whole_pages_are_trapped()
    {
        using Bench bench = new(SampleConfig.Nvme(msixMappable: false));
        Assert.Equal("0+2000:mapped 2000+80:trapped 2080+f80:trapped 3000+8:trapped 3008+ff8:trapped", Describe(Parts(bench, 0)));
    }

    [Fact]
    public void The_table_and_the_pending_bits_are_ours()
    {
        using Bench bench = Bench.Nvme();
        IReadOnlyList<BarPart> parts = Parts(bench, 0);
        parts[1].Region.Handler!.Write(0x14, 4, 0xFEE0_1234);
        parts[1].Region.Handler!.Read(0x14, 4, out ulong value);
        Assert.Equal(0xFEE0_1234ul, value);
        Assert.Equal(0xFEE0_1234ul << 32, bench.Function.Find<MsixCapability>()!.Message(1).Address.Value);
        Assert.DoesNotContain(bench.Log, s => s.StartsWith("write 0", StringComparison.Ordinal));
        parts[3].Region.Handler!.Read(0, 8, out value);
        Assert.Equal(0ul, value);
    }

    [Fact]
    public void Only_the_sparse_areas_are_mapped()
    {
        FakeDevice device = new(SampleConfig.Header(1, 2, 0).Bytes);
        device.AddRegion(0, 8 * Page, areas: [new VfioArea(Page, Page), new VfioArea(4 * Page, 2 * Page)]);
        using Bench bench = new(device);
        Assert.Equal("0+1000:trapped 1000+1000:mapped 2000+2000:trapped 4000+2000:mapped 6000+2000:trapped", Describe(Parts(bench, 0)));
    }

    [Fact]
    public void A_bar_smaller_than_a_page_is_trapped_and_says_so()
    {
        FakeDevice device = new(SampleConfig.Header(1, 2, 0).Bytes);
        device.AddRegion(0, 256, areas: [new VfioArea(0, Page)]);
        using Bench bench = new(device);
        Assert.Equal("0+100:trapped", Describe(Parts(bench, 0)));
        Assert.Contains(bench.Function.Notes, n => n.Contains("smaller than a page", StringComparison.Ordinal));
    }

    [Fact]
    public void An_area_that_the_kernel_does_not_map_is_trapped_and_says_so()
    {
        FakeDevice device = SampleConfig.Network();
        device.MapErrno = Errno.ENOMEM;
        using Bench bench = new(device);
        Assert.Equal("0+20000:trapped", Describe(Parts(bench, 0)));
        Assert.Contains(bench.Function.Notes, n => n.Contains("ENOMEM", StringComparison.Ordinal));
    }

    [Fact]
    public void With_everything_trapped_nothing_is_mapped()
    {
        using Bench bench = new(SampleConfig.Network(), new AssignedOptions("dev") { TrapAll = true });
        Assert.Equal("0+20000:trapped", Describe(Parts(bench, 0)));
    }

    [Theory]
    [InlineData(0x10ul, 8, new[] { 8 })]
    [InlineData(0x14ul, 8, new[] { 4, 4 })]
    [InlineData(0x11ul, 4, new[] { 1, 2, 1 })]
    [InlineData(0x12ul, 2, new[] { 2 })]
    [InlineData(0x1Ful, 1, new[] { 1 })]
    public void Trapped_accesses_reach_the_device_in_naturally_aligned_pieces(ulong offset, int size, int[] pieces)
    {
        using Bench bench = new(SampleConfig.Network(), new AssignedOptions("dev") { TrapAll = true });
        IAccessHandler handler = Parts(bench, 0)[0].Region.Handler!;
        bench.Log.Clear();
        const ulong Value = 0x8877_6655_4433_2211;
        handler.Write(offset, size, Value);
        Assert.Equal(pieces, bench.Log.Select(s => s.Split(' ')[^1].Length / 2));
        handler.Read(offset, size, out ulong value);
        Assert.Equal(Value & AccessWidth.AllOnes(size), value);
    }

    [Fact]
    public void Trapped_reads_and_vector_changes_allocate_nothing()
    {
        using Bench bench = new(SampleConfig.Nvme(), new AssignedOptions("dev") { TrapAll = true });
        IAccessHandler bar = Parts(bench, 0)[0].Region.Handler!;
        MsixCapability msix = bench.Function.Find<MsixCapability>()!;
        Allocations.None(Touch, times: 100);

        void Touch()
        {
            bar.Read(0x10, 8, out _);
            msix.PendingBits.Read(0, 8, out _);
            msix.Table.Write(12, 4, 1);
            bench.Read(0xC4, 4);
        }
    }

    [Fact]
    public void Accesses_to_mapped_bars_made_here_go_to_the_device_at_their_offset()
    {
        using Bench bench = Bench.Nvme();
        BarPart last = Parts(bench, 0)[^1];
        last.Region.Handler!.Write(8, 4, 0x55);
        Assert.Equal(0x55, bench.Device.Contents[0][0x3010]);
    }

    [Fact]
    public void The_rom_is_a_copy_read_once_while_the_device_decodes_memory()
    {
        using Bench bench = new(SampleConfig.Network());
        Region rom = Parts(bench, BarKinds.RomIndex)[0].Region;
        Assert.True(rom.IsReadOnly);
        Assert.Equal(0x77, rom.Ram!.Read<byte>(0x3_FFFF));
        int on = bench.Log.IndexOf("write 7 0x4 0200");
        Assert.True(on >= 0);
        Assert.Equal("write 7 0x4 0000", bench.Log[on + 1]);
    }

    [Fact]
    public void A_rom_image_takes_the_place_of_the_devices_and_is_rounded_up()
    {
        using Bench bench = new(SampleConfig.Network(), new AssignedOptions("dev") { Rom = RomSource.Image, RomImage = new byte[] { 0x55, 0xAA, 0x33 } });
        Assert.Equal(2048ul, bench.Function.FindBar(BarKinds.RomIndex)!.Size);
        Assert.Equal(0x33, Parts(bench, BarKinds.RomIndex)[0].Region.Ram!.Read<byte>(2));
    }

    [Fact]
    public void Without_a_rom_there_is_no_rom_bar()
    {
        using Bench off = new(SampleConfig.Network(), new AssignedOptions("dev") { Rom = RomSource.Off });
        Assert.Null(off.Function.FindBar(BarKinds.RomIndex));
        FakeDevice device = SampleConfig.Network();
        device.Contents[VfioRegionIndex.Rom][0] = 0xFF;
        using Bench blank = new(device);
        Assert.Null(blank.Function.FindBar(BarKinds.RomIndex));
        Assert.Contains(blank.Function.Notes, n => n.Contains("no image", StringComparison.Ordinal));
    }

    [Fact]
    public void The_pieces_of_a_bar_are_sorted_disjoint_and_cover_it()
    {
        foreach (FakeDevice device in (FakeDevice[])[
            SampleConfig.Nvme(), SampleConfig.Network(), SampleConfig.Teaching(), SampleConfig.Nvme(msixMappable: false)])
        {
            using Bench bench = new(device);
            foreach (Bar bar in bench.Function.Bars)
            {
                ulong next = 0;
                foreach (BarPart part in bench.Function.PartsOf(bar))
                {
                    Assert.Equal(next, part.Offset);
                    next += part.Region.Size;
                }

                Assert.Equal(bar.Size, next);
            }
        }
    }
}
