using Aperture.Configuration.Kinds;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Tests;

public class VfioKindTests
{
    [Fact]
    public void Every_option_is_read()
    {
        VfioSpec spec = Read(
            "vfio,host=0000:01:00.0,id=nvme0,port=rp0,addr=00.1,bars=bar0@0xa0000000,bar2=host,all=host,policy=follow,rom=off,"
                + "resize=[bar1@16G,bar4@256M],x_nv_gpudirect_clique=3");
        Assert.Equal(("nvme0", "host=0000:01:00.0", "rp0", (byte?)1), (spec.Id, spec.Device.ToString(), spec.Port, spec.DeviceFunction));
        Assert.Equal([new BarPin(0, new GuestAddress(0xA000_0000))], spec.Pins);
        Assert.Equal([2], spec.HostPins);
        Assert.True(spec.AllAsHost);
        Assert.Equal((BarPinPolicy.Follow, AssignedRom.Off, (int?)3), (spec.Policy, spec.Rom, spec.GpuDirectClique));
        Assert.Equal([new(1, 16UL << 30), new(4, 256UL << 20)], spec.Resizes);
    }

    [Theory]
    [InlineData("vfio,host=01:00.0,bars=all=host", true)]
    [InlineData("vfio,host=01:00.0,fixed-bars=all@host", true)]
    [InlineData("vfio,host=01:00.0", false)]
    public void Domain_0_need_not_be_written_and_all_is_spelled_two_ways(string text, bool all)
    {
        VfioSpec spec = Read(text);
        Assert.Equal((new PciAddress(0, new Bdf(1, 0, 0)), all), (spec.Device.Function, spec.AllAsHost));
    }

    [Theory]
    [InlineData("vfio,hots=01:00.0", "there is no option hots=; did you mean host=?")]
    [InlineData("vfio,id=a", "which device is meant? write host=0000:01:00.0, sysfs=PATH or fd=N")]
    [InlineData("vfio,host=01:00.0,fd=5", "host= and fd= both name a device; give one of them")]
    [InlineData("vfio,host=1:0", "host=1:0 is not an address of a function")]
    [InlineData("vfio,fd=7,resize=bar1@16G",
        "resize= takes the device from its driver for a moment, which ends the descriptor of fd=; name the device with host=")]
    [InlineData("vfio,fd=1", "fd=1 is not the number of an inherited descriptor")]
    [InlineData("vfio,host=01:00.0,policy=locked,bars=all=host", "policy=locked is not a policy; write lock, follow or stop")]
    [InlineData("vfio,host=01:00.0,policy=stop", "policy=stop says what happens when the guest moves a pinned BAR, and none is pinned")]
    [InlineData("vfio,host=01:00.0,bars=bar0=host,bar0@0x1000", "bar0 is pinned twice")]
    [InlineData("vfio,host=01:00.0,bars=bar7=host", "'bar7=host' does not name a BAR")]
    [InlineData("vfio,host=01:00.0,resize=bar0@3M", "a resizable BAR's size is a power of two")]
    [InlineData("vfio,host=01:00.0,resize=16G", "resize=16G does not name a BAR and a size")]
    [InlineData("vfio,host=01:00.0,x_nv_gpudirect_clique=16", "write a number from 0 to 15")]
    [InlineData("vfio,host=01:00.0,addr=99", "addr=99 is not a place on a bus")]
    [InlineData("vfio,host=01:00.0,id=a b", "id=a b: an id has 1 to 64 letters")]
    public void What_is_malformed_is_one_sentence(string text, string part)
    {
        ApertureException fault = Assert.Throws<ApertureException>(() => ConfigReader.Read([new("--device", text)], boots: false));
        Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
        Assert.Contains(part, fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', fault.Message);
    }

    [Theory]
    [InlineData("--host /x", "give one of them too")]
    [InlineData("--vfio cdev", "--vfio cdev is not a way to open devices; write auto, container or iommufd.")]
    public void Options_around_devices_are_checked(string option, string part)
    {
        string[] words = option.Split(' ');
        Assert.Contains(part, Assert.Throws<ApertureException>(() => ConfigReader.Read([new(words[0], words[1])], boots: false)).Message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--mirror all would take every device", "--mirror all")]
    [InlineData("--host describes another machine", "--mirror 01:00.0", "--host /x")]
    public void A_guest_that_is_started_takes_named_devices_of_this_host(string part, params string[] options)
    {
        IEnumerable<Setting> values = options.Append("--kernel k").Select(o => o.Split(' ')).Select(o => new Setting(o[0], o[1]));
        Assert.Contains(part, Assert.Throws<ApertureException>(() => ConfigReader.Read(values)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_configuration_file_says_the_same()
    {
        IReadOnlyList<Setting> options = ConfigFile.Parse(
            """
            {"vfio": "iommufd", "devices": [{"type": "vfio", "host": "0000:01:00.0", "resize": {"bar1": "16G"}, "bars": {"bar0": "0xa0000000", "all": "host"},
            "policy": "stop"}]}
            """u8,
            "vm.json");
        Assert.Equal(["--vfio iommufd", "--device vfio,host=0000:01:00.0,resize=[bar1@16G],policy=stop,bars=bar0@0xa0000000,all@host"],
            options.Select(o => o.ToString()));
        Assert.Equal(VfioPath.Iommufd, ConfigReader.Read(options, boots: false).Vfio);
    }

    [Fact]
    public void A_fault_in_a_configuration_file_has_its_place()
    {
        ApertureException fault =
            Assert.Throws<ApertureException>(() => ConfigFile.Parse("{\"devices\": [\n{\"type\": \"vfio\", \"hots\": \"01:00.0\"}]}"u8, "vm.json"));
        Assert.Equal("vm.json:2: $.devices[0].hots: a vfio device has no member \"hots\"; did you mean \"host\"?", fault.Message);
    }

    private static VfioSpec Read(string text) =>
        Assert.IsType<VfioSpec>(Assert.Single(ConfigReader.Read([new("--device", text)], boots: false).Devices));
}
