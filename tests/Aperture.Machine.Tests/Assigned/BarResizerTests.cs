using Aperture.Configuration.Kinds;
using Aperture.Host.Model;
using Aperture.Machine.Assigned;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Tests.Assigned;

public sealed class BarResizerTests : IDisposable
{
    private const string Name = "0000:01:00.0";
    private readonly TemporaryFolder _sys = new();

    public BarResizerTests()
    {
        Directory.CreateDirectory(Path.Join(_sys.Path, "bus/pci/devices", Name));
        Directory.CreateDirectory(Path.Join(_sys.Path, "bus/pci/drivers/vfio-pci"));
        Touch("bus/pci/drivers/vfio-pci/unbind");
        Touch("bus/pci/drivers/vfio-pci/bind");
        Bound("vfio-pci");
    }

    [Fact]
    public void The_size_is_written_as_the_capability_counts_it_between_unbinding_and_binding()
    {
        string resize = Touch($"bus/pci/devices/{Name}/resource1_resize");
        Assert.True(new BarResizer(_sys.Path).Apply(Part(256UL << 20, 16UL << 30)));
        Assert.Equal("14", File.ReadAllText(resize));
        Assert.Equal((Name, Name), (Read("unbind"), Read("bind")));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_driver_that_had_the_device_has_it_again_whichever_it_is(bool offered)
    {
        const string Variant = "nvgrace-gpu-vfio-pci";
        Directory.CreateDirectory(Path.Join(_sys.Path, "bus/pci/drivers", Variant));
        Touch($"bus/pci/drivers/{Variant}/unbind");
        Touch($"bus/pci/drivers/{Variant}/bind");
        Bound(Variant);
        if (offered)
        {
            Touch($"bus/pci/devices/{Name}/resource1_resize");
        }

        AssignedPart part = Part(256UL << 20, 16UL << 30);
        Assert.Equal(offered, Record.Exception(() => new BarResizer(_sys.Path).Apply(part)) is null);
        Assert.Equal((Name, Name), (Read("unbind", Variant), Read("bind", Variant)));
        Assert.Equal(("", ""), (Read("unbind"), Read("bind")));
    }

    [Fact]
    public void A_device_without_a_driver_is_not_resized()
    {
        File.Delete(Path.Join(_sys.Path, "bus/pci/devices", Name, "driver"));
        string resize = Touch($"bus/pci/devices/{Name}/resource1_resize");
        ApertureException fault = Assert.Throws<ApertureException>(() => new BarResizer(_sys.Path).Apply(Part(256UL << 20, 16UL << 30)));
        Assert.Contains("it has no driver now", fault.Message, StringComparison.Ordinal);
        Assert.Equal("", File.ReadAllText(resize));
    }

    [Fact]
    public void A_bar_of_that_size_is_left_alone()
    {
        Assert.False(new BarResizer(_sys.Path).Apply(Part(16UL << 30, 16UL << 30)));
        Assert.Equal("", Read("unbind"));
    }

    [Fact]
    public void A_refusal_gives_the_device_back_to_vfio_pci_and_is_one_sentence()
    {
        ApertureException fault = Assert.Throws<ApertureException>(() => new BarResizer(_sys.Path).Apply(Part(256UL << 20, 16UL << 30)));
        Assert.StartsWith("gpu: the kernel did not resize bar1 to 16G (", fault.Message, StringComparison.Ordinal);
        Assert.Equal(Name, Read("bind"));
    }

    [Fact]
    public void A_pin_to_an_address_that_the_host_gave_up_for_the_new_size_is_refused()
    {
        AssignedPart part = Part(256UL << 20, 16UL << 30);
        part = part with { Bars = [new BarDemand(0, BarKind.Memory32, 1 << 20, new GuestAddress(0x9000_0000))] };
        BarResizer.CheckPins(part, part.Host!);
        HostFunction moved = part.Host! with { Bars = [part.Host.Bars[0] with { Address = new GuestAddress(0x9100_0000) }, part.Host.Bars[1]] };
        Assert.Contains("the host moved bar0 from 0x90000000 to 0x91000000", Assert.Throws<ApertureException>(() => BarResizer.CheckPins(part, moved)).Message,
            StringComparison.Ordinal);
    }

    public void Dispose() => _sys.Dispose();

    private static AssignedPart Part(ulong size, ulong wanted)
    {
        PciAddress address = new(0, new Bdf(1, 0, 0));
        HostFunction function = new()
        {
            Address = address,
            Identity = new PciIdentity(0x10DE, 0x2330, 0x030200),
            Bars =
            [
                new HostBar(0, BarKind.Memory32, new GuestAddress(0x9000_0000), 1 << 20, SizeOrigin.Known),
                new HostBar(1, BarKind.Memory64Prefetchable, new GuestAddress(0x3800_0000_0000), size, SizeOrigin.Known),
            ],
        };
        return new AssignedPart(new VfioSpec { Id = "gpu", Device = new HostDeviceName(address, null, null), Resizes = [new(1, wanted)] }, function, []);
    }

    private string Touch(string place)
    {
        string path = Path.Join(_sys.Path, place);
        File.WriteAllText(path, "");
        return path;
    }

    private void Bound(string driver)
    {
        string link = Path.Join(_sys.Path, "bus/pci/devices", Name, "driver");
        File.Delete(link);
        File.CreateSymbolicLink(link, $"../../drivers/{driver}");
    }

    private string Read(string file, string driver = "vfio-pci") => File.ReadAllText(Path.Join(_sys.Path, "bus/pci/drivers", driver, file));
}
