using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Assignment.Tests;

/// <summary>The capability that tells an NVIDIA driver the peer-to-peer clique, and the mirror of configuration space in BAR 0.</summary>
public class GpuDirectTests
{
    private static SampleConfig Gpu(ushort vendor = 0x10DE, uint classCode = 0x030000, ushort device = 0x2204) =>
        SampleConfig.Header(vendor, device, classCode).Put32(0x14, 0xC).Chain((0x60, 0x01), (0x68, 0x05), (0xB4, 0x09)).Put16(0x6A, 0x80).Put8(0xB6, 0x14);

    private static FakeDevice Device(SampleConfig config) =>
        FakeDevice.With(config.Bytes, SampleConfig.Intx, new VfioIrq(VfioIrqIndex.Msi, 1, true, false, false)).AddRegion(0, 16 << 20).AddRegion(1, 256 << 20);

    [Fact]
    public void The_clique_is_in_a_vendor_capability_at_0xC8()
    {
        using Bench bench = new(Device(Gpu()), new AssignedOptions("gpu") { GpuDirectClique = 5 });
        Assert.Equal((0xC8, 0x09), AssignedConfigTests.Standard(bench)[^1]);
        Assert.Equal(0x5008_0009u, bench.Read(0xC8, 4));
        Assert.Equal(0x0028_5032u, bench.Read(0xCC, 4));
        bench.Write(0xCC, 4, 0);
        Assert.Equal(0x0028_5032u, bench.Read(0xCC, 4));
        Assert.DoesNotContain(bench.Device.ConfigWrites, w => w.Offset is >= 0xC8 and < 0xD0);
    }

    [Fact]
    public void When_0xC8_is_taken_the_clique_goes_to_0xD4()
    {
        SampleConfig config = Gpu().Chain((0x60, 0x01), (0xC8, 0x11)).Put32(0xCC, 0).Put32(0xD0, 0x1000);
        using Bench bench = new(Device(config), new AssignedOptions("gpu") { GpuDirectClique = 0 });
        Assert.Equal((0xD4, 0x09), AssignedConfigTests.Standard(bench)[^1]);
        Assert.Equal(0x0000_5032u, bench.Read(0xD8, 4));
    }

    [Theory]
    [InlineData(0x1002, 0x030000u, 0)]
    [InlineData(0x10DE, 0x040300u, 0)]
    [InlineData(0x10DE, 0x030000u, 16)]
    public void A_clique_of_anything_but_an_nvidia_display_function_is_a_configuration_error(int vendor, uint classCode, byte clique)
    {
        FakeDevice device = Device(Gpu((ushort)vendor, classCode));
        Assert.Throws<ApertureException>(
            () => new AssignedFunction(device, new AssignedOptions("gpu") { GpuDirectClique = clique }, new FakeGuest(), new RecordingEvents()));
        Assert.False(device.IsDisposed);
    }

    [Fact]
    public void The_mirror_of_configuration_space_shows_and_takes_what_configuration_space_does()
    {
        using Bench bench = new(Device(Gpu()));
        bench.Write(0x14, 4, 0xE000_000C);
        BarPart mirror = bench.Function.PartsOf(bench.Function.FindBar(0)!).Single(p => p.Offset == 0x88000);
        Assert.Equal(4096u, mirror.Region.Size);
        mirror.Region.Handler!.Read(0x14, 4, out ulong value);
        Assert.Equal(0xE000_000Cu, value);
        mirror.Region.Handler.Write(0x14, 4, 0xD000_0000);
        Assert.Equal(0xD000_000Cu, bench.Read(0x14, 4));
        mirror.Region.Handler.Read(0x10, 8, out value);
        Assert.Equal(0xD000_000C_0000_0000u, value);
    }

    [Theory]
    [InlineData(0x13C2, 0x88000)] // GM204
    [InlineData(0x20B0, 0x88000)] // GA100
    [InlineData(0x22BA, 0x88000)] // GA103 or Ada, below Hopper's
    [InlineData(0x2321, 0x92000)] // GH100
    [InlineData(0x2330, 0x92000)] // GH100
    [InlineData(0x2484, 0x88000)] // GA104
    [InlineData(0x2684, 0x88000)] // AD102
    [InlineData(0x28E0, 0x88000)] // AD107
    [InlineData(0x2901, 0x92000)] // GB100
    [InlineData(0x2B85, 0x92000)] // GB202
    [InlineData(0x3182, 0x92000)] // GB110
    public void The_mirror_is_where_the_chip_has_it_and_nowhere_else(int id, int offset)
    {
        using Bench bench = new(Device(Gpu(classCode: 0x030200, device: (ushort)id)));
        bench.Write(0x14, 4, 0xE000_000C);
        BarPart[] trapped = [.. bench.Function.PartsOf(bench.Function.FindBar(0)!).Where(p => p.Region.Handler is not null && p.Region.Size == 4096)];
        BarPart mirror = Assert.Single(trapped);
        Assert.Equal((ulong)offset, mirror.Offset);
        mirror.Region.Handler!.Read(0x14, 4, out ulong value);
        Assert.Equal(0xE000_000Cu, value);
    }

    [Fact]
    public void Without_corrections_the_whole_bar_is_mapped()
    {
        using Bench bench = new(Device(Gpu()), new AssignedOptions("gpu") { CorrectMirrors = false });
        Assert.Single(bench.Function.PartsOf(bench.Function.FindBar(0)!));
    }
}
