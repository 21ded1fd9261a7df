using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Doctor.Tests;

/// <summary>The ways between devices: each verdict and its opposite.</summary>
public class PeerTests
{
    [Fact]
    public void Requests_go_straight_below_a_switch_without_redirection()
    {
        using Machine machine = new Machine { SwitchAcs = 0 }.Build();
        Diagnosis diagnosis = machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic);
        diagnosis.The(VerdictKind.Good, "peers", "below the switch at 0000:01:00.0", "past the IOMMU", "0000:02:00.0 ACS control (ECAP_ACS+6) 0x0000",
            "--mirror 0000:03:00.0,0000:04:00.0", "pci=config_acs=xxx11xx@0000:02:00.0;xxx11xx@0000:02:01.0");
        Assert.True(diagnosis.CanBeReached);
    }

    [Fact]
    public void Redirection_is_said_with_the_parameter_that_ends_it()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).The(VerdictKind.Should, "peers", "up to the root port", "0x001d",
            "pci=disable_acs_redir=0000:02:00.0;0000:02:01.0", "setpci -s $p ECAP_ACS+6.w=0:c");
    }

    [Fact]
    public void Access_control_that_is_not_told_is_unknown_and_decides_nothing()
    {
        using Machine machine = new Machine { Shown = 64 }.Build();
        Verdict verdict = machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).The(VerdictKind.Unknown, "peers", "lspci -vvv");
        Assert.False(verdict.Decides);
    }

    [Theory]
    [InlineData(0x2030, true)]
    [InlineData(0x1234, false)]
    public void A_root_complex_carries_requests_if_it_is_known_to(ushort id, bool known)
    {
        using Machine machine = new Machine { RootId = id }.Build();
        Diagnosis diagnosis = machine.Look(Goals.P2p, Machine.Gpu, Machine.Drive);
        Verdict verdict = known
            ? diagnosis.The(VerdictKind.Note, "peers", "of one processor (NUMA node 0)", "0000:00:01.0 is 8086:2030", "in the kernel's table")
            : diagnosis.The(VerdictKind.Unknown, "peers", "up to the platform", "0000:00:01.0 (8086:1234)", ": not in the kernel's table");
        Assert.Equal(!known, verdict.Decides);
        Assert.Equal(known, diagnosis.CanBeReached);
    }

    [Fact]
    public void Every_Zen_carries_requests()
    {
        using Machine machine = new Machine { RootId = 0x1234 }.Build();
        machine.File("proc/cpuinfo", "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel name\t: EPYC\naddress sizes\t: 48 bits physical, 48 bits virtual\n");
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Drive).The(VerdictKind.Note, "peers", "family 0x19");
    }

    [Fact]
    public void Two_processors_are_far()
    {
        using Machine machine = new Machine().Build().Of(Machine.Drive, "numa_node", "1\n");
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Drive).The(VerdictKind.Should, "peers", "between NUMA nodes 0 and 1", "two processors", "one NUMA node");
    }

    [Fact]
    public void GPUDirect_pairs_accelerators_with_others()
    {
        using Machine machine = new Machine { SwitchAcs = 0 }.Build();
        Diagnosis diagnosis = machine.Look(Goals.GpuDirect, Machine.Gpu, Machine.Nic, Machine.Drive);
        diagnosis.The(VerdictKind.Good, "peers", "One pair below the switch");
        diagnosis.The(VerdictKind.Note, "peers", "One pair below different root ports");
        machine.Look(Goals.GpuDirect, Machine.Nic, Machine.Drive).The(VerdictKind.Cannot, "peers", "no GPU or accelerator");
        machine.Look(Goals.P2p, Machine.Nic).The(VerdictKind.Cannot, "peers", "no pair");
    }

    [Fact]
    public void ATS_is_on_off_absent_or_unknown()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).The(VerdictKind.Note, "ats", "no ATS");
        using TreeBuilder tree = new();
        tree.Function("pci0000:00", "0000:00:03.0", new ConfigBuilder(classCode: 0x030200).Express(Host.Model.HostPortType.Endpoint).Extended(0x0F,
            0x8000_0000).Bytes);
        tree.Function("pci0000:00", "0000:00:04.0", new ConfigBuilder(classCode: 0x030200).Express(Host.Model.HostPortType.Endpoint).Extended(0x0F, 0).Bytes);
        tree.Function("pci0000:00", "0000:00:05.0", new ConfigBuilder(64, classCode: 0x030200).Bytes);
        tree.File("../proc/cmdline", "pci=noats\n");
        Diagnosis diagnosis = HostDoctor.Examine(tree.Read(), [Say.Address("00:03.0"), Say.Address("00:04.0"), Say.Address("00:05.0")], Goals.P2p);
        diagnosis.The(VerdictKind.Good, "ats", "0000:00:03.0: ATS is on");
        diagnosis.The(VerdictKind.Note, "ats", "0000:00:04.0: ATS is there and off", "/proc/cmdline has pci=noats");
        diagnosis.The(VerdictKind.Unknown, "ats", "0000:00:05.0");
    }

    [Fact]
    public void Iommufd_maps_peers_from_6_19_on()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).The(VerdictKind.Good, "vfio", "VFIO is there");
        machine.File("proc/sys/kernel/osrelease", "6.12.4\n");
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).The(VerdictKind.Note, "vfio", "from Linux 6.19 on", "--vfio container");
        machine.Look(Goals.Passthrough, Machine.Gpu, Machine.Nic).HasNo(VerdictKind.Note, "vfio");
    }
}
