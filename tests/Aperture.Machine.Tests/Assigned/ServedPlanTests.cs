using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Hypervisor;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Topology;
using Aperture.Pci;
using FsCheck.Fluent;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>Devices that other processes serve in a plan: their servers are asked for the BARs, and serve on.</summary>
public sealed class ServedPlanTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly ServedTestDevice _served = new();

    public void Dispose()
    {
        _served.Dispose();
        _folder.Dispose();
    }

    [Fact]
    public void The_BARs_planned_are_those_that_the_server_tells_with_the_user_s_pins()
    {
        // Each connection is a client's; the next one is served all the same.
        for (int i = 0; i < 3; i++)
        {
            MachineTopology plan = Plan(_served.Option("bars=bar2@0xe8000000,policy=stop"));
            AssignedPart part = Assert.Single(plan.Assigned);
            Assert.Equal(("served", _served.Socket), (part.Name, part.HostName));
            Assert.Equal(
                [(0, BarKind.Memory32, 16UL << 10, null), (2, BarKind.Memory64Prefetchable, (ulong)ServedTestDevice.Memory, new GuestAddress(0xE800_0000))],
                part.Bars.Select(bar => (bar.Index, bar.Kind, bar.Size, bar.Pin)));
            Assert.True(plan.Result.Require().TryGetFunction("served", out _));
            Assert.Contains($"served is served at {_served.Socket}, which was asked for its BARs", plan.Notes);
            Assert.Null(plan.Host);
        }
    }

    [Theory]
    [InlineData("a.sock", "a.sock")]
    [InlineData("dir/guest 1,2.sock", "guest-1-2.sock")]
    public void A_device_without_a_name_is_called_as_its_socket(string socket, string name) =>
        Assert.Equal(name, ServedResolver.NameOf(new VfioUserSpec { Socket = socket }));

    [Fact]
    public void A_name_that_was_made_of_any_socket_can_be_given_as_an_id() => Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), seed =>
    {
        Random random = new(seed);
        string socket = new([.. Enumerable.Range(0, random.Next(1, 100))
            .Select(_ => random.Next(2) == 0 ? (char)random.Next(1, 0xD800) : "a/. -_9Z"[random.Next(8)])]);
        string name = ServedResolver.NameOf(new VfioUserSpec { Socket = socket });
        Assert.Equal(name, Assert.IsType<VfioUserSpec>(Assert.Single(Read($"vfio-user,socket=x,id={name}").Devices)).Id);
    }).Holds();

    [Fact]
    public void What_a_served_device_has_not_or_nobody_serves_is_refused()
    {
        Refused($"served has no bar3; {_served.Socket} has bar0, bar2.", _served.Option("bars=bar3@0xe8000000"));
        Refused(
            $"{_served.Socket} is given to the guest twice; a socket serves one device to one client", _served.Option(), $"vfio-user,socket={_served.Socket}");
        string nobody = _folder.In("nobody.sock");
        Refused($"cannot connect to {nobody}; start the program that serves the device, with --socket-path {nobody}", $"vfio-user,socket={nobody}");
    }

    [Fact]
    public void It_stands_next_to_devices_of_its_own_and_takes_the_place_that_it_was_given()
    {
        IReadOnlyList<TopologyNode> root = TopologyBuilder.Build(Read("test,id=t,bar0=mem32:4K:trap", _served.Option("addr=06.0")));
        Assert.Equal(((byte)0x30, NodeKind.Assigned), root.Where(n => n.Name == "served").Select(n => (n.DeviceFunction, n.Kind)).Single());
        Assert.Contains(root, n => n is { Name: "t", Kind: NodeKind.Test });
    }

    private static MachineConfig Read(params string[] devices) => ConfigReader.Read(devices.Select(d => new Setting("--device", d)), boots: false);

    private static MachineTopology Plan(params string[] devices) => MachineTopology.Of(Read(devices), new HypervisorLimits(46, []));

    private static void Refused(string sentence, params string[] devices) =>
        Assert.Contains(sentence, Assert.ThrowsAny<ApertureException>(() => Plan(devices)).Message, StringComparison.Ordinal);
}
