using Aperture.Board;
using Aperture.Configuration;
using Aperture.Host.Model;
using Aperture.Machine.Functions;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Topology;
using Aperture.Pci;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Machine.Tests.Assigned;

/// <summary>AtomicOps of assigned devices: the guest's ports say what the host's path does.</summary>
public sealed class AtomicPathTests
{
    private static readonly string[] PathPorts = [SysfsHost.RootPort, "0000:01:00.0", "0000:02:00.0", "0000:02:01.0"];

    private static Gen<(AtomicOps Atomics, bool Blocks)> Port { get; } =
        from routing in Gen.Frequency((4, Gen.Constant(AtomicOps.Routing)), (1, Gen.Constant(AtomicOps.None)))
        from completers in Gen.Choose(0, 7)
        from blocks in Gen.Frequency((6, Gen.Constant(false)), (1, Gen.Constant(true)))
        select (routing | (AtomicOps)(completers << 7), blocks);

    [Fact]
    public void The_guests_ports_do_what_every_port_of_the_hosts_path_does()
    {
        int seen = 0;
        Prop.ForAll(Port.ArrayOf(PathPorts.Length).ToArbitrary(), ports =>
        {
            using SysfsHost host = new(atomics: PathPorts.Zip(ports).ToDictionary());
            AtomicOps gpu = Expected(ports[0], ports[1], ports[2]);
            AtomicOps nic = Expected(ports[0], ports[1], ports[3]);
            seen += gpu != AtomicOps.None && nic != AtomicOps.None ? 1 : 0;

            IReadOnlyList<BoardNode> apart = Nodes(
                host, "--root-port id=rp0", "--root-port id=rp1", $"--device vfio,host={SysfsHost.Gpu},port=rp0",
                $"--device vfio,host={SysfsHost.Nic},port=rp1");
            Assert.Equal((gpu, nic), (At(apart, "rp0"), At(apart, "rp1")));

            IReadOnlyList<BoardNode> behind = Nodes(
                host, "--root-port id=rp0", "--switch id=sw,port=rp0,downstream=2",
                $"--device vfio,host={SysfsHost.Gpu},port=sw.0", $"--device vfio,host={SysfsHost.Nic},port=sw.1");
            Assert.Equal((gpu & nic, Routing(gpu & nic)), (At(behind, "rp0"), At(behind, "sw")));
            Assert.Equal((Routing(gpu), Routing(nic)), (At(behind, "sw.0"), At(behind, "sw.1")));
        }).Holds();
        Assert.True(seen > 10);
    }

    [Fact]
    public void A_port_without_a_device_of_the_host_does_nothing_with_them()
    {
        using SysfsHost host = new();
        Assert.Equal(AtomicOps.None, At(Nodes(host, "--root-port id=rp0", "--device test,id=t,port=rp0"), "rp0"));
    }

    // Linux' pci_enable_atomic_ops_to_root asks for the same.
    private static AtomicOps Expected((AtomicOps Atomics, bool Blocks) root, params (AtomicOps Atomics, bool Blocks)[] between) =>
        Array.TrueForAll(between, port => ((uint)port.Atomics >> 6 & 1) == 1 && !port.Blocks) ? (AtomicOps)((uint)root.Atomics & 0x380) : AtomicOps.None;

    private static AtomicOps Routing(AtomicOps completers) => completers == AtomicOps.None ? AtomicOps.None : AtomicOps.Routing;

    private static AtomicOps At(IReadOnlyList<BoardNode> nodes, string name) => Ports(nodes).Single(port => port.Name == name).Atomics;

    private static IEnumerable<PortNode> Ports(IEnumerable<BoardNode> nodes) => nodes.OfType<PortNode>().SelectMany(port => Ports(port.Children).Prepend(port));

    private static IReadOnlyList<BoardNode> Nodes(SysfsHost host, params string[] options)
    {
        HostMachine machine = host.Read();
        MachineConfig config = ConfigReader.Read([new("--kernel", "unused"), .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1]))]);
        return new BoardNodes([]).Of(TopologyBuilder.Build(config, machine));
    }
}
