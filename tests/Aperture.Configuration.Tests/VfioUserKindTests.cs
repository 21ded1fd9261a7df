using Aperture.Configuration.Kinds;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Tests;

/// <summary><c>--device vfio-user</c>, and RAM that is shared because of it.</summary>
public class VfioUserKindTests
{
    private static MachineConfig Read(params string[] options) =>
        ConfigReader.Read(options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])), boots: false);

    [Fact]
    public void Every_option_is_read()
    {
        VfioUserSpec spec = Assert.IsType<VfioUserSpec>(Assert.Single(Read(
            "--device vfio-user,socket=run/a.sock,id=a,port=rp0,addr=00.1,bars=bar0@0xe0000000,policy=follow,rom=off,map=off").Devices));
        Assert.Equal(("run/a.sock", "a", "rp0", (byte)1, BarPinPolicy.Follow, AssignedRom.Off, false),
            (spec.Socket, spec.Id, spec.Port, spec.DeviceFunction, spec.Policy, spec.Rom, spec.MapsAreas));
        Assert.Equal([new BarPin(0, new GuestAddress(0xE000_0000))], spec.Pins);
        Assert.True(Assert.IsType<VfioUserSpec>(Assert.Single(Read("--device vfio-user,socket=a").Devices)).MapsAreas);
        Assert.Equal("rom.bin", Assert.Single(Assert.Single(Read("--device vfio-user,socket=a,rom=rom.bin").Devices).Files).Path);
    }

    [Theory]
    [InlineData("vfio-user", "a socket is missing; give socket=PATH.")]
    [InlineData("vfio-user,sock=a", "there is no option sock=; did you mean socket=?")]
    [InlineData("vfio-user,socket=", "socket=: the path is empty")]
    [InlineData("vfio-user,socket=a,bars=all=host", "'all=host' asks for a host address, which only a passed-through device has; write bar0@ADDRESS")]
    [InlineData("vfio-user,socket=a,map=maybe", "map=maybe: write on or off.")]
    [InlineData("vfio-user,socket=a,resize=bar0@16M", "there is no option resize=")]
    public void What_cannot_be_is_refused(string device, string sentence) =>
        Assert.Contains(sentence, Assert.Throws<ApertureException>(() => Read("--device " + device)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData(null, false, false)]
    [InlineData(null, true, true)]
    [InlineData("auto", true, true)]
    [InlineData("auto", false, false)]
    [InlineData("on", false, true)]
    [InlineData("off", true, false)]
    public void RAM_is_shared_when_it_is_asked_for_and_by_itself_when_a_device_is_served(string? shared, bool served, bool expected)
    {
        MachineConfig config = Read(
            $"--memory size=64M{(shared is null ? "" : ",shared=" + shared)}", served ? "--device vfio-user,socket=a" : "--device vfio,host=01:00.0");
        Assert.Equal(expected, config.SharesMemory);
    }

    [Fact]
    public void Sharing_is_one_of_three_words() => Assert.Equal(
        "--memory shared=yes is not a choice for sharing RAM; write auto, on or off.",
        Assert.Throws<ApertureException>(() => Read("--memory size=64M,shared=yes")).Message);

    [Fact]
    public void A_file_says_the_same()
    {
        MachineConfig config = ConfigReader.Read(
            ConfigFile.Parse(
                """
                {"memory": {"size": "64M", "shared": "off"},
                 "devices": [{"type": "vfio-user", "socket": "a,b", "map": false, "bars": {"bar2": "0xe0000000"}}]}
                """u8,
                "vm.json"),
            boots: false);
        VfioUserSpec spec = Assert.IsType<VfioUserSpec>(Assert.Single(config.Devices));
        Assert.Equal(("a,b", false, false), (spec.Socket, spec.MapsAreas, config.SharesMemory));
        Assert.Equal([new BarPin(2, new GuestAddress(0xE000_0000))], spec.Pins);
    }
}
