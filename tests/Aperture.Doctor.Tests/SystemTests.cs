namespace Aperture.Doctor.Tests;

/// <summary>Kernel, memory, nodes, address bits, the map: each verdict and its opposite.</summary>
public class SystemTests
{
    [Fact]
    public void Locked_memory_is_limited_or_not()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "memlock", "unlimited");
        machine.File("proc/self/limits", "Max locked memory         8388608              8388608              bytes\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "memlock", "may lock 8M", "LimitMEMLOCK=infinity", "lacks CAP_IPC_LOCK");
        machine.File("proc/self/status", "CapEff:\t000001ffffffffff\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "memlock", "has CAP_IPC_LOCK");
        machine.Without("proc/self");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "memlock", "no /proc/self/limits");
    }

    [Fact]
    public void A_cgroup_that_limits_memory_is_said()
    {
        using Machine machine = new Machine().Build().File("proc/self/cgroup", "0::/user.slice/someone\n").File("sys/fs/cgroup/user.slice/memory.max",
            "4294967296\n");
        machine.File("sys/fs/cgroup/user.slice/someone/memory.max", "max\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "cgroup", "has 4G at most");
        machine.File("sys/fs/cgroup/user.slice/memory.max", "max\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).HasNo(VerdictKind.Note, "cgroup");
    }

    [Fact]
    public void Huge_pages_are_free_or_not()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "hugepages", "hugepages-1048576kB: 32 of 32 free");
        machine.File("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "0\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "hugepages",
            "echo 8 > /sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages");
        machine.Without("sys/kernel/mm");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "hugepages", "no /sys/kernel/mm/hugepages");
    }

    [Fact]
    public void Devices_of_two_nodes_are_said_with_the_processors_near_them()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu, Machine.Nic).The(VerdictKind.Good, "numa", "one NUMA node");
        machine.File("sys/devices/system/node/node1/cpulist", "16-31\n").File("sys/devices/system/node/node1/meminfo", "Node 1 MemTotal: 67108864 kB\n");
        machine.Look(Goals.Passthrough, Machine.Gpu, Machine.Nic).The(VerdictKind.Note, "numa", "all of them", "CPUs 0-15");
        machine.Of(Machine.Nic, "numa_node", "1\n");
        machine.Look(Goals.Passthrough, Machine.Gpu, Machine.Nic).The(VerdictKind.Note, "numa", "0000:04:00.0: on node 1, others are not", "CPUs 16-31",
            "numactl --cpunodebind=1");
        machine.File("sys/devices/system/node/node1/cpulist", "\n");
        machine.Look(Goals.Passthrough, Machine.Nic).The(VerdictKind.Should, "numa", "lacks processors or memory");
        machine.Of(Machine.Nic, "numa_node", "-1\n");
        machine.Look(Goals.Passthrough, Machine.Nic).The(VerdictKind.Unknown, "numa", "numa_node=-1");
        machine.Without("sys/devices/system");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "numa", "no /sys/devices/system/node");
    }

    [Fact]
    public void Parameters_of_the_kernel_count()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "kernel", "has iommu=pt", "DMA-FQ");
        machine.File("proc/cmdline", "pcie_acs_override=downstream,multifunction pci=realloc,nomsi\n");
        Diagnosis diagnosis = machine.Look(Goals.Passthrough, Machine.Gpu);
        diagnosis.The(VerdictKind.Should, "kernel", "claim isolation that the ports do not have", "pcie_acs_override=downstream,multifunction");
        diagnosis.The(VerdictKind.Should, "kernel", "take nomsi out of pci=");
        diagnosis.The(VerdictKind.Note, "kernel", "no iommu=pt", "DMA-FQ");
        machine.Without("proc/cmdline");
        machine.Look(Goals.Passthrough, Machine.Gpu).HasNo(VerdictKind.Should, "kernel").The(VerdictKind.Unknown, "kernel", "no /proc/cmdline");
    }

    [Fact]
    public void Parameters_of_modules_count()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "vfio", "dma_entry_limit=65535");
        machine.File("sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "1024\n").File("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
        Diagnosis diagnosis = machine.Look(Goals.Passthrough, Machine.Gpu);
        diagnosis.The(VerdictKind.Should, "vfio", "1024 mappings", "dma_entry_limit=65535 in /etc/modprobe.d");
        diagnosis.The(VerdictKind.Should, "vfio", "without an IOMMU");
        machine.Without("sys/class/misc/vfio").Without("sys/class/misc/iommu");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "vfio", "modprobe vfio-pci");
        machine.Without("sys/class/misc");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "vfio", "no /sys/class/misc");
    }

    [Fact]
    public void Addresses_need_bits_of_processor_and_IOMMU()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).The(VerdictKind.Good, "address-bits", "needs 38 address bits", "46 bits physical");
        machine.File("sys/class/iommu/dmar0/intel-iommu/cap", "240462\n");
        machine.Look(Goals.P2p, Machine.Gpu, Machine.Nic).The(VerdictKind.Cannot, "address-bits", "translates 37 address bits");
        Assert.True(machine.Look(Goals.Passthrough, Machine.Gpu, Machine.Nic).CanBeReached);
        machine.File("proc/cpuinfo", "vendor_id\t: GenuineIntel\naddress sizes\t: 36 bits physical, 48 bits virtual\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Cannot, "address-bits", "the processor has 36");
        machine.Without("proc/cpuinfo");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "address-bits", "how many this processor has is not known");
    }

    [Theory]
    [InlineData(0x38_0000_0000, 64, VerdictKind.Good, "No guest's RAM reaches")]
    [InlineData(0x38_0000_0000, 2048, VerdictKind.Note, "has to have RAM around it")]
    [InlineData(0xFE_0000_0000, 64, VerdictKind.Should, "is HyperTransport's")]
    public void AMDs_hosts_have_a_range_that_no_DMA_gets_through(ulong aperture, int gigabytes, VerdictKind kind, string says)
    {
        using Machine machine = new Machine { Aperture = aperture }.Build();
        machine.File("sys/devices/system/node/node0/meminfo", $"Node 0 MemTotal: {gigabytes << 20} kB\n");
        Assert.DoesNotContain(machine.Look(Goals.Passthrough, Machine.Gpu).Verdicts, static verdict => verdict.Means.Contains("HyperTransport",
            StringComparison.Ordinal));
        machine.File("proc/cpuinfo", "vendor_id\t: AuthenticAMD\ncpu family\t: 25\naddress sizes\t: 48 bits physical, 48 bits virtual\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(kind, "address-bits", says);
    }

    [Fact]
    public void The_solvers_answer_decides_about_a_mirror()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Mirror, Machine.Gpu).The(VerdictKind.Good, "map", "--mirror 0000:03:00.0");
        Diagnosis refused = HostDoctor.Examine(machine.Read(), [], Goals.Mirror, static _ => ["x overlaps y"]);
        refused.The(VerdictKind.Cannot, "map", "x overlaps y");
        Assert.Equal(Reachability.No, refused.Of(Goals.Mirror));
    }
}
