using Aperture.Configuration;
using Aperture.Host.Model;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Topology;
using Aperture.Mirror;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>Devices of a host in a guest's address map; the host is a synthetic one.</summary>
public class AssignedPlanTests
{
    private const string Port = "--root-port id=rp0";
    private const string SecondPort = "--root-port id=rp1";

    [Fact]
    public void A_device_has_the_hosts_bars_and_those_that_are_pinned_have_its_addresses()
    {
        using SysfsHost host = new();
        MachineTopology plan = Plan(host, Port, $"--device vfio,host={SysfsHost.Gpu},id=gpu0,port=rp0,bars=bar1=host", "--phys-bits 46");
        IReadOnlyList<BarPlacement> bars = Bars(plan, "gpu0");
        Assert.Equal([BarKind.Memory32, BarKind.Memory64Prefetchable], bars.Select(b => b.Demand.Kind));
        Assert.Equal([16UL << 20, 64UL << 30], bars.Select(b => b.Demand.Size));
        Assert.Equal(SysfsHost.GpuBar, bars[1].Address.Value);
        Assert.NotEqual(0x9000_0000UL, bars[0].Address.Value);
    }

    [Fact]
    public void All_as_host_pins_every_bar_and_an_address_of_the_users_wins()
    {
        using SysfsHost host = new();
        MachineTopology plan = Plan(host, Port, $"--device vfio,host={SysfsHost.Nic},port=rp0,bars=all=host,bar2@0x92040000");
        Assert.Equal([0x9200_0000UL, 0x3000UL, 0x9204_0000UL], Bars(plan, SysfsHost.Nic).Select(b => b.Address.Value));
    }

    [Fact]
    public void Vfs_share_a_port_with_their_bars_where_the_host_has_them()
    {
        using SysfsHost host = new();
        MachineTopology plan = Plan(host, Port, $"--device vfio,host={SysfsHost.Vf0},port=rp0,addr=00.0,bars=all=host",
            $"--device vfio,host={SysfsHost.Vf1},port=rp0,addr=00.1,bars=all=host");
        Assert.Equal(0xA110_0000UL, Assert.Single(Bars(plan, SysfsHost.Vf0)).Address.Value);
        Assert.Equal(0xA110_4000UL, Assert.Single(Bars(plan, SysfsHost.Vf1)).Address.Value);
    }

    [Theory]
    [InlineData("0000:06:10.4",
        "0000:06:10.4 would be VF 3 of 0000:06:00.0, which has 2 now; make them with: echo 0 > /sys/bus/pci/devices/0000:06:00.0/sriov_numvfs and echo 3 > ")]
    [InlineData("0000:06:11.4", "0000:06:11.4 would be VF 7 of 0000:06:00.0")]
    [InlineData("0000:06:11.6", "has no function 0000:06:11.6")]
    [InlineData("0000:06:10.5", "has no function 0000:06:10.5")]
    public void A_vf_that_was_not_made_is_named_with_how_to_make_it(string address, string sentence)
    {
        using SysfsHost host = new(sriov: true);
        ApertureException refused = Assert.Throws<ApertureException>(() => Plan(host, $"--device vfio,host={address}"));
        Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_the_devices_groups_reserve_is_kept_free_and_what_the_kernel_gives_up_is_not()
    {
        using SysfsHost host = new(nvmeReserved: "0x0000000008000000 0x0000000008ffffff direct\n");
        MachineTopology plan = Plan(host, "--memory 1G", Port, $"--device vfio,host={SysfsHost.Nvme},port=rp0");
        AddressRange reserved = new(new GuestAddress(0x800_0000), 0x100_0000);
        Assert.Contains(plan.Request.Platform.Reserved, r => r.Range == reserved && r.Origin == "what the host's IOMMU group 32 keeps (direct)");
        Assert.DoesNotContain(plan.Result.Require().Ram.Pieces, piece => piece.Overlaps(reserved));
        Assert.Contains(plan.Result.Require().Ram.Pieces, piece => piece.Contains(new AddressRange(new GuestAddress(0), 0x10_0000)));
    }

    [Fact]
    public void A_direct_region_where_ECAM_is_moves_ECAM_and_the_plan_says_that_the_kernel_keeps_the_device()
    {
        using SysfsHost host = new(nvmeReserved: "0x00000000bdf83000 0x00000000bdf84fff direct\n");
        MachineTopology plan = Plan(host, "--memory 8G", Port, $"--device vfio,host={SysfsHost.Nvme},port=rp0");
        AddressRange reserved = new(new GuestAddress(0xBDF8_3000), 0x2000);
        Assert.DoesNotContain(plan.Result.Require().Ecams, ecam => ecam.Range.Overlaps(reserved));
        Assert.Contains(plan.Notes,
            note => note.StartsWith($"The kernel does not assign {SysfsHost.Nvme}: the firmware keeps {reserved}", StringComparison.Ordinal));
    }

    [Fact]
    public void The_function_0_that_was_not_mirrored_has_its_place_held_and_stays_with_the_host()
    {
        using TreeBuilder tree = new();
        const ulong Memory32 = 0x4_0200;
        const string Port0 = "0000:00:01.0";
        byte[] endpoint = new ConfigBuilder(header: 0x80).Bar32(0, 0x9000_0000).Express(HostPortType.Endpoint).Bytes;
        byte[] audio = new ConfigBuilder(header: 0x80).Bar32(0, 0x9010_0000).Express(HostPortType.Endpoint).Bytes;
        tree.Function("pci0000:00", Port0, ConfigBuilder.Bridge(1, 1, HostPortType.RootPort, 0x9000_0000, 0x20_0000).Bytes, TreeBuilder.Lines());
        tree.Function($"pci0000:00/{Port0}", "0000:01:00.0", endpoint, TreeBuilder.Lines(TreeBuilder.Line(0x9000_0000, 1 << 20, Memory32)));
        tree.Function($"pci0000:00/{Port0}", "0000:01:00.1", audio, TreeBuilder.Lines(TreeBuilder.Line(0x9010_0000, 16 << 10, Memory32)));
        MachineConfig config = ConfigReader.Read([new("--firmware", "unused"), new("--mirror", "0000:01:00.1")]);
        MachineTopology plan = MachineTopology.Of(config, Hypervisors.LimitsOf(46), tree.Read());
        Assert.Equal(["0000:01:00.1"], plan.Assigned.Select(part => part.Name));
        Assert.Equal([NodeKind.PlaceHolder, NodeKind.Assigned],
            Assert.Single(plan.Root, n => n.Kind == NodeKind.RootPort).Children.OrderBy(n => n.DeviceFunction).Select(n => n.Kind));
    }

    [Fact]
    public void A_mirrored_device_stands_below_bridges_like_the_hosts_with_their_windows()
    {
        using SysfsHost host = new();
        MachineTopology plan = Plan(host, $"--mirror {SysfsHost.Gpu},{SysfsHost.Nic}", "--phys-bits 46");
        PlacementMap map = plan.Result.Require();
        Assert.Equal([SysfsHost.Gpu, SysfsHost.Nic], plan.Assigned.Select(p => p.Name));
        TopologyNode port = Assert.Single(plan.Root, n => n.Kind == NodeKind.RootPort);
        TopologyNode upstream = Assert.Single(port.Children);
        Assert.Equal((SysfsHost.RootPort, NodeKind.SwitchUpstream), (port.Name, upstream.Kind));
        Assert.All(upstream.Children, n => Assert.Equal(NodeKind.SwitchDownstream, n.Kind));
        Assert.Equal([0x9000_0000UL, SysfsHost.GpuBar], Bars(plan, SysfsHost.Gpu).Select(b => b.Address.Value));
        Assert.True(map.TryGetFunction(SysfsHost.RootPort, out FunctionPlacement? bridge));
        Assert.Equal(new AddressRange(new GuestAddress(0x9000_0000), 0x1000_0000), bridge.Bridge!.Memory);
    }

    [Fact]
    public void Mirrored_vfs_are_functions_of_device_0_below_their_port()
    {
        using SysfsHost host = new();
        MachineTopology plan = Plan(host, $"--mirror {SysfsHost.Vf0},{SysfsHost.Vf1}");
        TopologyNode port = Assert.Single(plan.Root, n => n.Kind == NodeKind.RootPort);
        Assert.Equal([(SysfsHost.Vf0, (byte)0), (SysfsHost.Vf1, (byte)1)], port.Children.Select(n => (n.Name, n.DeviceFunction)));
        Assert.Equal(0xA110_4000UL, Assert.Single(Bars(plan, SysfsHost.Vf1)).Address.Value);
    }

    [Fact]
    public void Peers_without_access_control_reach_a_bar_only_at_the_hosts_address()
    {
        using SysfsHost host = new();
        IReadOnlyList<PeerForecast> peers = Peers(host, Port, SecondPort,
            $"--device vfio,host={SysfsHost.Gpu},id=gpu,port=rp0,bars=bar1=host", $"--device vfio,host={SysfsHost.Nic},id=nic,port=rp1", "--phys-bits 46");
        Assert.True(Single(peers, "nic", "gpu", 1).Reaches);
        PeerForecast elsewhere = Single(peers, "nic", "gpu", 0);
        Assert.False(elsewhere.Reaches);
        Assert.Contains("the host has this BAR at 0x90000000; pin it there with bars=bar0=host", elsewhere.Why, StringComparison.Ordinal);
        Assert.Equal("it is smaller than a page, and the IOMMU maps pages", Single(peers, "gpu", "nic", 2).Why);
        Assert.DoesNotContain(peers, p => p.To.Name == "nic" && p.Bar == 1);
    }

    [Fact]
    public void Peers_whose_requests_go_through_the_iommu_reach_a_bar_anywhere_but_where_it_translates_nothing()
    {
        using SysfsHost host = new(direct: false);
        string[] options = [Port, SecondPort, $"--device vfio,host={SysfsHost.Gpu},id=gpu,port=rp0", $"--device vfio,host={SysfsHost.Nic},id=nic,port=rp1",
            "--phys-bits 46"];
        Assert.True(Single(Peers(host, options), "nic", "gpu", 1).Reaches);
        PeerForecast narrow = Single(Peers(host, 32, options), "nic", "gpu", 1);
        Assert.Equal((false, "it passes the 32 address bits that the host's IOMMU translates"), (narrow.Reaches, narrow.Why));
    }

    [Theory]
    [InlineData("vfio,host=0000:03:00.1", "has no function 0000:03:00.1; did you mean 0000:03:00.0?")]
    [InlineData("vfio,host=0000:02:00.0", "0000:02:00.0 is a bridge, which stays with the host; pass the functions below it")]
    [InlineData("vfio,host=0000:03:00.0,bars=bar4=host", "0000:03:00.0 has no bar4; 0000:03:00.0 has bar0, bar1.")]
    [InlineData("vfio,host=0000:03:00.0,id=gpu,resize=bar1@128G", "gpu bar1 cannot be resized to 128G: 0000:03:00.0 has no resizable bar1.")]
    [InlineData("vfio,host=0000:03:00.0,rom=/nonexistent/rom", "rom=/nonexistent/rom does not exist.")]
    [InlineData("vfio,sysfs=/sys/class/nothing", "does not name a PCI function")]
    public void A_device_that_cannot_be_passed_as_asked_is_one_sentence(string device, string part)
    {
        using SysfsHost host = new();
        Assert.Contains(part, Refusal(() => Plan(host, "--device " + device)), StringComparison.Ordinal);
    }

    [Fact]
    public void A_ROM_behind_a_link_has_the_size_of_its_file()
    {
        using SysfsHost host = new();
        using TemporaryFolder folder = new();
        string rom = folder.In("own.rom");
        File.WriteAllBytes(rom, new byte[40_000]);
        string link = folder.Link("link.rom", rom);
        MachineTopology plan = Plan(host, $"--device vfio,host={SysfsHost.Gpu},id=gpu,rom={link}", "--phys-bits 46");
        Assert.Equal(65536UL, Bars(plan, "gpu").Single(b => b.Demand.Index == BarKinds.RomIndex).Demand.Size);
        File.WriteAllBytes(rom, []);
        Assert.Contains($"rom={link} has 0 bytes", Refusal(() => Plan(host, $"--device vfio,host={SysfsHost.Gpu},rom={link}")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("64G", false)]
    [InlineData("128G", false)]
    [InlineData("256G", true)]
    public void A_resize_that_the_hosts_bridge_has_no_room_for_is_told_with_the_plan(string size, bool told)
    {
        using SysfsHost host = new(resizable: true);
        MachineTopology plan = Plan(host, Port, $"--device vfio,host={SysfsHost.Gpu},id=gpu,port=rp0,resize=bar1@{size}", "--phys-bits 46");
        string[] notes = [.. plan.Notes.Where(note => note.StartsWith("gpu bar1 of", StringComparison.Ordinal))];
        Assert.Equal(told ? 1 : 0, notes.Length);
        if (told)
        {
            const string Sentence =
                "gpu bar1 of 256G has no room on the host, where 0000:02:00.0 forwards 0x380000000000-0x381fffffffff for it, 128G; the kernel";
            Assert.StartsWith(Sentence, notes[0], StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_function_is_passed_once_and_a_vf_not_beside_its_pf()
    {
        using SysfsHost host = new();
        Assert.StartsWith($"{SysfsHost.Gpu} is given to the guest twice",
            Refusal(() => Plan(host, $"--device vfio,host={SysfsHost.Gpu},id=a", $"--device vfio,host={SysfsHost.Gpu},id=b")), StringComparison.Ordinal);
        Assert.StartsWith($"{SysfsHost.Gpu} is given to the guest twice",
            Refusal(() => Plan(host, $"--device vfio,host={SysfsHost.Gpu}", $"--mirror {SysfsHost.Gpu}")), StringComparison.Ordinal);
        string both = $"{SysfsHost.Vf0} is a VF of {SysfsHost.Pf}, which is passed too";
        Assert.StartsWith(both, Refusal(() => Plan(host, $"--device vfio,host={SysfsHost.Pf}", $"--device vfio,host={SysfsHost.Vf0}")),
            StringComparison.Ordinal);
        Assert.StartsWith(both, Refusal(() => Plan(host, $"--device vfio,host={SysfsHost.Vf0}", $"--device vfio,host={SysfsHost.Pf}")),
            StringComparison.Ordinal);
    }

    [Fact]
    public void Two_functions_below_one_port_need_places_of_their_own()
    {
        using SysfsHost host = new();
        Assert.Contains("a port takes one device; add a port, or place",
            Refusal(() => Plan(host, Port, $"--device vfio,host={SysfsHost.Vf0},port=rp0", $"--device vfio,host={SysfsHost.Vf1},port=rp0")),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("2-socket-infiniband.tar.bz2")]
    [InlineData("8-vector-engines.tar.bz2")]
    public void Accelerators_of_a_real_server_are_planned_at_its_own_addresses(string file)
    {
        HostMachine host = RealCaptures.Read(file);
        HostFunction[] chosen =
            [.. host.Functions.Where(f => f.Bridge is null && f.Parent is not null).OrderByDescending(f => f.Bars.Select(b => b.Size).DefaultIfEmpty().Max())
                .Take(2)];
        MachineTopology plan = MachineTopology.Of(
            Config($"--mirror {string.Join(',', chosen.Select(f => f.Address))}"), Hypervisors.LimitsOf(HostMirror.AddressBits(host, 1UL << 30)), host);
        Assert.All(plan.Assigned, part => Assert.All(Bars(plan, part.Name), bar => Assert.Equal(part.HostAddressOf(bar.Demand.Index), bar.Address)));
        Assert.NotEmpty(plan.Assigned);
    }

    private static PeerForecast Single(IReadOnlyList<PeerForecast> peers, string from, string to, int bar) =>
        Assert.Single(peers, p => p.From.Name == from && p.To.Name == to && p.Bar == bar);

    private static IReadOnlyList<PeerForecast> Peers(SysfsHost host, params string[] options) => Peers(host, 64, options);

    private static IReadOnlyList<PeerForecast> Peers(SysfsHost host, int bits, params string[] options)
    {
        MachineTopology plan = Plan(host, options);
        return PeerForecast.All(plan.Host!, [.. plan.Assigned.Select(p => new PeerDevice(p.Name, p.Host!, Bars(plan, p.Name)))], bits);
    }

    private static IReadOnlyList<BarPlacement> Bars(MachineTopology plan, string name)
    {
        Assert.True(plan.Result.Require().TryGetFunction(name, out FunctionPlacement? function));
        return function.Bars;
    }

    private static MachineTopology Plan(SysfsHost host, params string[] options)
    {
        MachineConfig config = Config(options);
        return MachineTopology.Of(config, Hypervisors.LimitsOf(config.PhysicalAddressBits ?? 46), host.Read());
    }

    private static MachineConfig Config(params string[] options) =>
        ConfigReader.Read(options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])), boots: false);

    private static string Refusal(Action act)
    {
        ApertureException fault = Assert.Throws<ApertureException>(act);
        Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
        return fault.Message;
    }
}
