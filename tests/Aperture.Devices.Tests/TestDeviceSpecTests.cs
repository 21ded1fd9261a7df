using Aperture.Devices.TestDevice;
using Aperture.TestKit.Parts.Devices;

namespace Aperture.Devices.Tests;

public class TestDeviceSpecTests
{
    private static TestDeviceSpec Parse(string text) => TestSpecs.Parse(text);

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

    [Fact]
    public void Without_a_trapped_BAR_there_are_no_registers()
    {
        TestDeviceSpec spec = Parse("id=x");
        Assert.Null(spec.RegisterBar);
        Assert.Null(spec.MsixPlace);
        Assert.Equal(new TestMsixPlace(0, 512 << 10, 768 << 10),
            Parse("id=t1,addr=01.0,bar2=mem64p:64G:ram,bar0=mem32:1M:trap,bar4=io:256,rom=64K,port=rp0,msi=4,msix=16").MsixPlace);
    }
}
