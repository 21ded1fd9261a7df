using Aperture.Devices.TestDevice;
using Aperture.Pci;

namespace Aperture.Devices.Tests;

public class TestDeviceOptionsTests
{
    private static KeyValuePair<string, string>[] Split(string text) =>
        [.. text.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(part => part.Split('=', 2)).Select(pair => KeyValuePair.Create(pair[0], pair[1]))];

    internal static TestDeviceSpec Parse(string text)
    {
        Assert.True(TestDeviceOptions.TryParse(Split(text), out TestDeviceSpec? spec, out string? error), error);
        Assert.Null(error);
        return spec;
    }

    [Fact]
    public void The_full_spelling_gives_every_part()
    {
        TestDeviceSpec spec = Parse("id=t1,addr=01.0,bar2=mem64p:64G:ram,bar0=mem32:1M:trap,bar4=io:256,rom=64K,port=rp0,msi=4,msix=16");
        Assert.Equal("t1", spec.Id);
        Assert.Equal((byte)0x08, spec.DeviceFunction);
        Assert.Equal("rp0", spec.Port);
        Assert.Equal(64u << 10, spec.RomSize);
        Assert.Equal((4, 16), (spec.MsiVectors, spec.MsixVectors));
        Assert.Equal(
            [
                new TestBarSpec(0, BarKind.Memory32, 1 << 20, TestBacking.Trap),
                new TestBarSpec(2, BarKind.Memory64Prefetchable, 64UL << 30, TestBacking.Ram),
                new TestBarSpec(4, BarKind.Io, 256, TestBacking.Trap),
            ],
            spec.Bars);
        Assert.Equal(new TestMsixPlace(0, 512 << 10, 768 << 10), spec.MsixPlace);
    }

    [Fact]
    public void Only_the_id_is_needed_and_a_BAR_is_trapped_by_default()
    {
        TestDeviceSpec spec = Parse("id=x");
        Assert.Null(spec.DeviceFunction);
        Assert.Null(spec.Port);
        Assert.Null(spec.RegisterBar);
        Assert.Null(spec.MsixPlace);
        Assert.Equal(TestBacking.Trap, Parse("id=x,bar1=mem64:4K").Bars[0].Backing);
    }

    [Theory]
    [InlineData("bar0=io:4", 0)]
    [InlineData("bar0=mem32:16", 0)]
    [InlineData("bar0=mem32:4K:ram,bar1=io:16", 1)]
    [InlineData("bar4=mem64p:1T,bar3=mem32p:2G", 3)]
    public void The_first_trapped_BAR_has_the_registers(string bars, int index) =>
        Assert.Equal(index, Parse("id=x," + bars).RegisterBar!.Value.Index);

    [Theory]
    [InlineData("bar0=mem32:4K,bar1=mem32:8K,msix=1", 1, 0x1000u, 0x1800u)]
    [InlineData("bar0=mem32:64K,bar1=mem32:128K,msix=2048", 1, 0x10000u, 0x18000u)]
    [InlineData("bar0=mem64:16G,msix=2048", 0, 0x40000000u, 0x60000000u)]
    public void MSI_X_lies_in_the_upper_half_of_the_first_trapped_memory_BAR_that_is_big_enough(string options, int bar, uint table, uint pending) =>
        Assert.Equal(new TestMsixPlace(bar, table, pending), Parse("id=x," + options).MsixPlace);

    [Theory]
    [InlineData("bar0=mem32:1M", "id")]
    [InlineData("id=", "id")]
    [InlineData("id=a b", "id")]
    [InlineData("id=x,id=y", "twice")]
    [InlineData("id=x,addr=20.0", "1f.7")]
    [InlineData("id=x,addr=1.8", "1f.7")]
    [InlineData("id=x,port=", "port")]
    [InlineData("id=x,bar6=mem32:1M", "bar0 to bar5")]
    [InlineData("id=x,colour=red", "options are")]
    [InlineData("id=x,bar0=mem32", "KIND:SIZE")]
    [InlineData("id=x,bar0=mem16:1M", "mem32p")]
    [InlineData("id=x,bar0=rom:1M", "mem32p")]
    [InlineData("id=x,bar0=mem32:1M:trap:more", "KIND:SIZE")]
    [InlineData("id=x,bar0=mem32:1M:disk", "trap or ram")]
    [InlineData("id=x,bar0=mem32:3M", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem32:8", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem32:4G", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem32:0", "power of two from 16 to 2G")]
    [InlineData("id=x,bar0=mem64:2K:ram", "power of two from 4K to 4194304T")]
    [InlineData("id=x,bar0=io:512", "power of two from 4 to 256")]
    [InlineData("id=x,bar0=io:2", "power of two from 4 to 256")]
    [InlineData("id=x,bar0=io:256:ram", "I/O")]
    [InlineData("id=x,bar5=mem64:1M", "bar0 to bar4")]
    [InlineData("id=x,bar1=io:16,bar0=mem64:1M", "upper half of the 64-bit bar0")]
    [InlineData("id=x,rom=1K", "2K to 16M")]
    [InlineData("id=x,rom=3K", "2K to 16M")]
    [InlineData("id=x,rom=no-such-file.rom", "no such file")]
    [InlineData("id=x,rom=", "2K to 16M")]
    [InlineData("id=x,ids=8086", "VENDOR:DEVICE")]
    [InlineData("id=x,ids=8086:10d3:1", "VENDOR:DEVICE")]
    [InlineData("id=x,ids=18086:10d3", "VENDOR:DEVICE")]
    [InlineData("id=x,ids=ffff:0001", "not ffff")]
    [InlineData("id=x,msi=3", "power of two from 1 to 32")]
    [InlineData("id=x,msi=0", "power of two from 1 to 32")]
    [InlineData("id=x,bar0=mem32:1M,msix=2049", "1 to 2048")]
    [InlineData("id=x,bar0=mem32:1M:ram,msix=1", "8K")]
    [InlineData("id=x,bar0=io:256,msix=1", "8K")]
    [InlineData("id=x,bar0=mem32:8K,msix=129", "16K")]
    public void What_is_not_legal_is_refused_in_one_sentence_that_says_what_is(string text, string says)
    {
        Assert.False(TestDeviceOptions.TryParse(Split(text), out TestDeviceSpec? spec, out string? error));
        Assert.Null(spec);
        Assert.StartsWith("test device", error, StringComparison.Ordinal);
        Assert.Contains(says, error, StringComparison.Ordinal);
        Assert.DoesNotContain(". ", error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error);
        if (text.StartsWith("id=x", StringComparison.Ordinal))
        {
            Assert.StartsWith("test device x: ", error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Only_options_of_the_device_are_claimed()
    {
        Assert.All(["id", "addr", "port", "rom", "ids", "msi", "msix", "bar0", "bar5"], key => Assert.True(TestDeviceOptions.OwnsKey(key)));
        Assert.All(["bars", "fixed-bars", "bar6", "bar", "bar10", ""], key => Assert.False(TestDeviceOptions.OwnsKey(key)));
    }
}
