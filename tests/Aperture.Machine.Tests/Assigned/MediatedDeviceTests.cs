using System.Text;
using Aperture.Assignment;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Hypervisor;
using Aperture.Machine.Assigned;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.TestKit.Parts.Assigned;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>Mediated devices: found by their folder, planned from what opening them tells, and guests that touch what their drivers have not.</summary>
public sealed class MediatedDeviceTests : IDisposable
{
    private const string Uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";
    private const string Other = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1002";
    private static readonly DeviceBar[] Bars = [new(0, BarKind.Memory32Prefetchable, 4 << 20), new(2, BarKind.Memory32, 4096), new(6, BarKind.Rom, 4096)];

    private readonly TemporaryFolder _sys = new();
    private readonly SysfsHost _host = new();
    private readonly List<string> _opened = [];

    public MediatedDeviceTests()
    {
        Add(Uuid);
        Add(Other);
    }

    public void Dispose()
    {
        _sys.Dispose();
        _host.Dispose();
    }

    [Theory]
    [InlineData("bus/mdev/devices/" + Uuid)]
    [InlineData("bus/mdev/devices/" + Uuid + "/")]
    [InlineData("class/mdev_bus/parent/" + Uuid)]
    public void A_mediated_device_is_found_by_its_folder_on_its_bus_and_below_its_parent_s_class(string path)
    {
        MediatedDevice found = Assert.IsType<MediatedDevice>(SysfsDevice.Find(new HostDeviceName(null, At(path), null)).Mediated);
        Assert.Equal(Uuid, found.Name);
        Assert.True(Directory.Exists(found.Folder));
    }

    [Fact]
    public void A_mediated_device_that_is_not_there_is_named_with_how_to_make_it()
    {
        string sentence = Assert.Throws<ApertureException>(() => Build($"vfio,sysfs={At("bus/mdev/devices/")}83b8f4f2-509f-382f-3c1e-e6bfe0fa1009")).Message;
        Assert.EndsWith("the host has no mediated device 83b8f4f2-509f-382f-3c1e-e6bfe0fa1009; make it with: echo 83b8f4f2-509f-382f-3c1e-e6bfe0fa1009 > "
            + "/sys/class/mdev_bus/PARENT/mdev_supported_types/TYPE/create.", sentence, StringComparison.Ordinal);
    }

    [Fact]
    public void The_BARs_planned_are_those_that_opening_the_device_tells_with_the_user_s_pins()
    {
        AssignedPart part = Assert.Single(Build($"vfio,{Device(Uuid)},bars=bar2@0xe9000000"));
        Assert.Equal((Uuid, Uuid, null), (part.Name, part.HostName, part.Host));
        Assert.Equal([(0, 4UL << 20, null), (2, 4096UL, new GuestAddress(0xE900_0000)), (6, 4096UL, (GuestAddress?)null)],
            part.Bars.Select(bar => (bar.Index, bar.Size, bar.Pin)));
        Assert.All(part.Bars, bar => Assert.Null(part.HostAddressOf(bar.Index)));
        Assert.Equal([Uuid], _opened);
        Assert.Equal([0, 2], Assert.Single(Build($"vfio,{Device(Uuid)},rom=off,id=a")).Bars.Select(bar => bar.Index));
    }

    [Theory]
    [InlineData(",bars=all=host", "has no addresses on the host, which a mediated device's BARs never have")]
    [InlineData(",bars=bar0=host", "bar0 has no address on the host; give it one with bars=bar0@ADDRESS")]
    [InlineData(",resize=bar0@16M", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 has no resizable bar0")]
    [InlineData(",bars=bar3@0xe9000000", "has no bar3; 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001 has bar0, bar2, rom")]
    public void What_a_mediated_device_cannot_have_is_refused(string options, string sentence) =>
        Assert.Contains(sentence, Assert.Throws<ApertureException>(() => Build($"vfio,{Device(Uuid)}{options}")).Message, StringComparison.Ordinal);

    [Fact]
    public void Several_mediated_devices_and_functions_of_the_host_go_together_but_none_twice()
    {
        Assert.Equal(3, Build($"vfio,{Device(Uuid)}", $"vfio,{Device(Other)}", $"vfio,host={SysfsHost.Nvme}").Count);
        Assert.Contains(Uuid + " is given to the guest twice", Assert.Throws<ApertureException>(
            () => Build($"vfio,{Device(Uuid)},id=a", $"vfio,sysfs={At("class/mdev_bus/parent/" + Uuid)},id=b")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_planned_for_another_host_takes_no_mediated_device_of_this_one() =>
        Assert.StartsWith(Uuid + " is a mediated device of this host, and the machine is planned for", Assert.Throws<ApertureException>(
            () => TopologyBuilder.Build(Config($"vfio,{Device(Uuid)}"), _host.Read())).Message, StringComparison.Ordinal);

    [Fact]
    public void A_mediated_device_without_a_reset_is_said_in_its_own_words()
    {
        using MemoryStream log = new();
        using TestBoard board = TestBoard.WithEvents(log);
        using FakeDevice device = SampleConfig.Teaching();
        device.CanReset = false;
        device.ResetErrno = Linux.Errno.ENOTTY;
        FirstResets first = new(board.Events);
        first.Add("fb0", null, device);
        first.Run();
        Assert.Contains($"{device.Name} cannot be reset (its driver on the host offers none): the guest finds it as its last user left it.",
            Encoding.UTF8.GetString(log.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_vCPU_goes_on_where_missing_memory_was_replaced_since_it_last_asked_and_is_stopped_where_nothing_was()
    {
        using MemoryStream log = new();
        using TestBoard board = TestBoard.WithEvents(log);
        Queue<MissingMemory[]> found = new([[new MissingMemory("fb0 region 0", 0x40_0000, 0x2000)], [], [], []]);
        List<VcpuStop> stopped = [];
        MissingMemoryHandler handler = new(found.Dequeue, board.Events, stop =>
        {
            stopped.Add(stop);
            return VcpuAction.Park;
        });
        Assert.Equal(VcpuAction.Park, handler.Stopped(new VcpuStop(VcpuStopKind.HostError, 0, "another")));
        Assert.Equal(4, found.Count);

        // Two touch it at once: the second finds it replaced.
        Assert.Equal(VcpuAction.Continue, handler.Stopped(Fault(0)));
        Assert.Equal(VcpuAction.Continue, handler.Stopped(Fault(1)));
        Assert.Equal(VcpuAction.Park, handler.Stopped(Fault(0)));
        Assert.Equal(VcpuAction.Park, handler.Stopped(Fault(1)));
        Assert.Equal(["another", "fault", "fault"], stopped.Select(stop => stop.Sentence));
        Assert.Contains("fb0 region 0 has no memory at 0x400000-0x401fff: the guest reads all-ones there", Encoding.UTF8.GetString(log.ToArray()),
            StringComparison.Ordinal);

        static VcpuStop Fault(int vcpu) => new(VcpuStopKind.MemoryFault, vcpu, "fault");
    }

    private IReadOnlyList<AssignedPart> Build(params string[] devices)
    {
        _opened.Clear();
        IReadOnlyList<TopologyNode> root = TopologyBuilder.Build(Config(devices), _host.Read(), device =>
        {
            _opened.Add(device.Name);
            return Bars;
        });
        return [.. root.Select(node => node.Assigned).OfType<AssignedPart>()];
    }

    private static MachineConfig Config(params string[] devices) => ConfigReader.Read(devices.Select(d => new Setting("--device", d)), boots: false);

    private string At(string path) => Path.Join(_sys.Path, path);

    private string Device(string uuid) => "sysfs=" + At("bus/mdev/devices/" + uuid);

    // As the kernel shows one: the folder is its parent's, the bus has a link to it.
    private void Add(string uuid)
    {
        Directory.CreateDirectory(At($"devices/virtual/sample/parent/{uuid}"));
        Directory.CreateDirectory(At("bus/mdev/devices"));
        Directory.CreateDirectory(At("class/mdev_bus"));
        File.CreateSymbolicLink(At($"devices/virtual/sample/parent/{uuid}/subsystem"), "../../../../../bus/mdev");
        File.CreateSymbolicLink(At($"bus/mdev/devices/{uuid}"), $"../../../devices/virtual/sample/parent/{uuid}");
        if (!Directory.Exists(At("class/mdev_bus/parent")))
        {
            File.CreateSymbolicLink(At("class/mdev_bus/parent"), "../../devices/virtual/sample/parent");
        }
    }
}
