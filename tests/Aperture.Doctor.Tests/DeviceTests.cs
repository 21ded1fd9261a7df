using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Doctor.Tests;

/// <summary>BARs, windows, resets, interrupts, drivers, VFs, known faults: each verdict and its opposite.</summary>
public class DeviceTests
{
    [Fact]
    public void A_BAR_without_an_address_keeps_the_device()
    {
        using Machine well = new Machine().Build();
        well.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "bars", "bar0 1G at 0x3800000000");
        using Machine lost = new Machine { Aperture = 0 }.Build();
        lost.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Cannot, "bars", "has no address", "Above 4G Decoding", "pci=realloc=on");
    }

    [Fact]
    public void What_is_wrong_with_a_bridge_above_is_wrong_for_what_is_below()
    {
        using TreeBuilder tree = new();
        foreach (byte bus in (byte[])[1, 2])
        {
            tree.Function("pci0000:00", $"0000:00:0{bus}.0", ConfigBuilder.Bridge(bus, bus, Host.Model.HostPortType.RootPort, 0x9000_0000, 1 << 20).Bytes);
            tree.Function($"pci0000:00/0000:00:0{bus}.0", $"0000:0{bus}:00.0", new ConfigBuilder().Bytes);
        }

        Diagnosis diagnosis = HostDoctor.Examine(tree.Read(), [Say.Address("02:00.0")], Goals.Passthrough);
        diagnosis.The(VerdictKind.Cannot, "bars", "Memory window of 0000:00:02.0", "overlaps");
    }

    [Fact]
    public void VF_BARs_without_an_address_keep_only_the_VFs()
    {
        using Machine machine = new Machine { VfBars = 0 }.Build();
        machine.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Cannot, "bars", "SR-IOV of 0000:04:00.0 cannot be turned on");
        Assert.True(machine.Look(Goals.Passthrough, Machine.Nic).HasNo(VerdictKind.Cannot, "bars").CanBeReached);
        using Machine well = new Machine().Build();
        well.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Good, "sriov", "have addresses for all 8 VFs", "at 0x3890000000");
    }

    [Fact]
    public void VFs_want_a_maker_and_numbers()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Should, "sriov", "can have 8 VFs and has none",
            "echo 4 > /sys/bus/pci/devices/0000:04:00.0/sriov_numvfs");
        machine.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Good, "sriov", "has a bus number");
        machine.Of(Machine.Nic, "sriov_numvfs", "2\n");
        machine.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Should, "sriov", "and has none");
        machine.Driver(Machine.Nic, "vfio-pci");
        machine.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Should, "sriov", "enable_sriov=1");
        machine.Lacking(Machine.Nic, "driver");
        machine.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Cannot, "sriov", "only a driver makes VFs");
        using Machine far = new Machine { VfOffset = 0x100 }.Build();
        far.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Should, "sriov", "Not all 8 VFs", "bus 05", "buses 04 to 04");
        using Machine none = new Machine { Vfs = 0 }.Build();
        none.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Cannot, "sriov", "no VFs can be made");
        using Machine dark = new Machine { Vfs = 0, Shown = 64 }.Build();
        Assert.True(dark.Look(Goals.Sriov, Machine.Nic).The(VerdictKind.Unknown, "sriov", "whether VFs can be made is not known").Decides);
    }

    [Theory]
    [InlineData(0x38_0000_0000, VerdictKind.Good, "lie above 4 GiB")]
    [InlineData(0xC000_0000, VerdictKind.Should, "Above 4G Decoding")]
    public void Large_BARs_belong_above_4_GiB(ulong at, VerdictKind kind, string says)
    {
        using Machine machine = new Machine { Aperture = at, ApertureSize = 256 << 20 }.Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(kind, "above-4g", says, "PCI Bus 0000:00 has 0x3800000000-0x3fffffffff");
    }

    [Fact]
    public void A_resizable_BAR_needs_room_in_every_window_above()
    {
        using Machine full = new Machine().Build();
        full.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "rebar", "largest size");
        using Machine room = new Machine { LargestPower = 11 }.Build();
        room.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "rebar", "is 1G and can be 2G; the windows above have room", "resize=bar0@2G");
        using Machine narrow = new Machine { LargestPower = 12 }.Build();
        narrow.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "rebar", "can be 4G, but 0000:02:00.0 above has no room",
            "holds 2G, 4G would be needed");
        using Machine dark = new Machine { Shown = 64 }.Build();
        dark.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "rebar", "64 bytes");
    }

    [Theory]
    [InlineData("", VerdictKind.Unknown, "is not known")]
    [InlineData("3800000000-383fffffff : PCI Bus 0000:00\n", VerdictKind.Should, "its largest window is 1G")]
    [InlineData("3800000000-3fffffffff : PCI Bus 0000:00\n", VerdictKind.Note, "have room for that")]
    public void On_a_root_bus_the_kernels_map_tells_the_room(string map, VerdictKind kind, string says)
    {
        using TreeBuilder tree = new();
        ConfigBuilder config = new ConfigBuilder(classCode: 0x030000).Express(Host.Model.HostPortType.RootComplexEndpoint).Bar64(0, 0x38_0000_0000)
            .Extended(0x15, 0x0000_FFF0, 8 << 8 | 1 << 5);
        tree.Function("pci0000:00", "0000:00:02.0", config.Bytes, TreeBuilder.Lines(TreeBuilder.Line(0x38_0000_0000, 256 << 20, 0x14220C)));
        tree.File("../proc/iomem", map);
        HostDoctor.Examine(tree.Read(), [Say.Address("00:02.0")], Goals.Passthrough).The(kind, "rebar", "is 256M and can be 2G", says);
    }

    [Fact]
    public void Resets_are_the_kernels_or_else_the_registers()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "reset", "reset_method: flr bus");
        machine.Of(Machine.Gpu, "reset_method", "bus\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "reset", "on which nothing else is", "reset_method: bus");
        machine.Of(Machine.Gpu, "reset_method", "");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "reset", "cannot be reset", "reset_method: empty");
        machine.Lacking(Machine.Gpu, "reset_method");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "reset", "FLReset+");
        using Machine lacking = new Machine { FunctionReset = false }.Build().Lacking(Machine.Gpu, "reset_method");
        lacking.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "reset", "FLReset-, NoSoftRst+; alone on its bus");
        using Machine pair = new Machine { Sound = true }.Build().Of(Machine.Gpu, "reset_method", "bus\n");
        pair.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "reset", "with the whole bus only");
        pair.Look(Goals.Passthrough, Machine.Gpu, "0000:03:00.1").The(VerdictKind.Good, "reset", "0000:03:00.0", "on which nothing else is");
        using Machine dark = new Machine { Shown = 64 }.Build().Lacking(Machine.Gpu, "reset_method");
        dark.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Unknown, "reset", "64 bytes");
    }

    [Fact]
    public void A_line_that_is_shared_with_the_host_is_said()
    {
        using Machine messages = new Machine().Build();
        messages.Look(Goals.Passthrough, Machine.Drive).The(VerdictKind.Good, "interrupts", "MSI or MSI-X");
        using Machine line = new Machine { DriveMessages = false }.Build();
        line.Look(Goals.Passthrough, Machine.Drive).The(VerdictKind.Note, "interrupts", "INTx only", "irq=16");
        line.Of(Machine.Nic, "irq", "16\n");
        line.Look(Goals.Passthrough, Machine.Drive).The(VerdictKind.Should, "interrupts", "as of 0000:04:00.0 (mlx5_core)");
        using Machine dark = new Machine { Shown = 64 }.Build();
        dark.Look(Goals.Passthrough, Machine.Drive).The(VerdictKind.Unknown, "interrupts", "capabilities begin past 64");
    }

    [Fact]
    public void A_driver_of_the_host_gives_way_to_vfio_and_stays_away()
    {
        using Machine machine = new Machine().Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "driver", "-> nvidia",
            "echo 0000:03:00.0 > /sys/bus/pci/devices/0000:03:00.0/driver/unbind",
            "driverctl set-override 0000:03:00.0 vfio-pci");
        machine.Driver(Machine.Gpu, "vfio-pci");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Good, "driver", "again after the next start", "options vfio-pci ids=10de:20b0");
        machine.Without("etc/modprobe.d/vfio.conf");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Note, "driver", "no rule in /etc/modprobe.d");
        machine.Lacking(Machine.Gpu, "driver");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "driver", "held by no driver");
        Diagnosis listing = HostDoctor.Examine(Host.HostReader.ReadLspci(Say.Dump("0000:00:03.0", new ConfigBuilder(64).Bytes), "x"), [], Goals.Passthrough);
        listing.The(VerdictKind.Unknown, "driver", "lspci -k");
    }

    [Fact]
    public void The_display_that_the_firmware_started_is_the_hosts_console()
    {
        using Machine machine = new Machine().Build().Of(Machine.Gpu, "boot_vga", "1\n");
        machine.Look(Goals.Passthrough, Machine.Gpu).The(VerdictKind.Should, "driver", "boot_vga=1");
        machine.Of(Machine.Gpu, "boot_vga", "0\n");
        Assert.DoesNotContain(machine.Look(Goals.Passthrough, Machine.Gpu).Verdicts, static verdict => verdict.Seen.Contains("boot_vga",
            StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0x1002, 0x731F, VerdictKind.Should, "vendor-reset")]
    [InlineData(0x10DE, 0x2342, VerdictKind.Note, "quirk_nvidia_no_bus_reset")]
    public void Faults_are_known_by_id(ushort vendor, ushort device, VerdictKind kind, string says)
    {
        using Machine machine = new Machine { GpuIds = (vendor, device) }.Build();
        machine.Look(Goals.Passthrough, Machine.Gpu).The(kind, "known-fault", says, $"{vendor:x4}:{device:x4}");
        using Machine well = new Machine().Build();
        well.Look(Goals.Passthrough, Machine.Gpu).HasNo(kind, "known-fault");
    }

    [Theory]
    [InlineData(0x13, true)]
    [InlineData(0x22, true)]
    [InlineData(0x23, false)]
    public void A_chipset_that_loses_remapped_interrupts_keeps_every_device(byte revision, bool broken)
    {
        using TreeBuilder tree = new();
        tree.Function("pci0000:00", "0000:00:00.0", new ConfigBuilder(vendor: 0x8086, device: 0x3405, classCode: 0x060000).U8(8, revision).Bytes);
        tree.Function("pci0000:00", "0000:00:03.0", new ConfigBuilder().Bytes);
        Diagnosis diagnosis = HostDoctor.Examine(tree.Read(), [Say.Address("00:03.0")], Goals.Passthrough);
        if (broken)
        {
            diagnosis.The(VerdictKind.Cannot, "known-fault", "intel_remapping_check", "8086:3405");
        }
        else
        {
            diagnosis.HasNo(VerdictKind.Cannot, "known-fault");
        }
    }
}
