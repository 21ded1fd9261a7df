using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Devices.Display;
using Aperture.Machine.Tests.Fakes;
using Aperture.Pci;
using Aperture.Virtio.Transport;

namespace Aperture.Machine.Tests;

/// <summary>What a kind asks of the address map is what its device has.</summary>
public class DemandTests
{
    private static IEnumerable<(int Index, BarKind Kind, ulong Size)> Demanded(PciDeviceSpec spec) =>
        spec.Demands.Select(b => (b.Index, b.Kind, b.Size)).Order();

    private static IEnumerable<(int Index, BarKind Kind, ulong Size)> Found(PciFunction function) =>
        function.Bars.Select(b => (b.Index, b.Kind, b.Size)).Order();

    [Fact]
    public void A_test_device_has_the_BARs_that_it_demands()
    {
        using TestBoard board = TestBoard.Direct("--device test,id=d,bar0=mem32:64K,bar1=io:256,bar2=mem64p:1M:ram,rom=4K");
        Assert.Equal(4, Found(board.Function("d")).Count());
        Assert.Equal(Found(board.Function("d")), Demanded(Assert.IsType<TestSpec>(Assert.Single(board.Config.Devices))));
    }

    [Fact]
    public void A_display_has_the_BARs_that_it_demands()
    {
        using StandardVga display = new("d", null);
        Assert.Equal(Found(display), Demanded(ConfigReader.ReadDevice("vga,rom=none")));
    }

    [Fact]
    public void A_disk_has_the_BAR_that_it_demands() =>
        Assert.Equal([(VirtioLayout.Bar, BarKind.Memory32, VirtioLayout.BarSize)], Demanded(ConfigReader.ReadDevice("disk,file=x")));
}
