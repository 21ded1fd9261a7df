using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Host.Tests;

public class SysfsReaderTests
{
    private const ulong Memory64 = 0x14220c;
    private const ulong Memory32 = 0x40200;

    private static TreeBuilder OneEndpoint(params string[] bars)
    {
        TreeBuilder tree = new();
        tree.Function("pci0000:00", "0000:00:02.0", new ConfigBuilder(64).Bar64(0, 0x10_0000_0000).Bytes, TreeBuilder.Lines(bars));
        return tree;
    }

    [Theory]
    [InlineData("00:1f.7", 0u, 0xFF)]
    [InlineData("0000:ff:00.0", 0u, 0xFF00)]
    [InlineData("10000:e1:00.0", 0x10000u, 0xE100)]
    [InlineData("ffffffff:00:00.1", 0xFFFFFFFFu, 1)]
    public void An_address_has_a_domain_of_up_to_32_bits(string text, uint domain, int id)
    {
        Assert.True(PciAddress.TryParse(text, out PciAddress address));
        Assert.Equal(new PciAddress(domain, new Bdf((ushort)id)), address);
        Assert.True(PciAddress.TryParse(address.ToString(), out PciAddress again));
        Assert.Equal(address, again);
    }

    [Theory]
    [InlineData("")]
    [InlineData("0:0:0.0")]
    [InlineData("100000000:00:00.0")]
    [InlineData(":00:00.0")]
    [InlineData("0000:00:20.0")]
    [InlineData("0000:00:00.8")]
    [InlineData("0000:0:00:00.0")]
    public void What_is_not_an_address_is_refused(string text) => Assert.False(PciAddress.TryParse(text, out _));

    [Fact]
    public void A_bar_has_its_size_from_resource_and_its_kind_from_the_flags()
    {
        using TreeBuilder tree =
            OneEndpoint(TreeBuilder.Line(0x10_0000_0000, 64UL << 30, Memory64), TreeBuilder.Empty, TreeBuilder.Line(0xE000_0000, 4096, Memory32));
        HostFunction function = tree.Read().At("0000:00:02.0");
        HostBar bar = function.Bars[0];
        Assert.Equal((0, BarKind.Memory64Prefetchable, 64UL << 30, SizeOrigin.Known, true), (bar.Index, bar.Kind, bar.Size, bar.Origin, bar.Enabled));
        Assert.Equal(new AddressRange(new GuestAddress(0x10_0000_0000), 64UL << 30), bar.Range);
        Assert.Equal((2, BarKind.Memory32), (function.Bars[1].Index, function.Bars[1].Kind));
        Assert.Equal(2, function.Bars.Length);
    }

    [Fact]
    public void A_host_bridge_that_translates_leaves_the_bus_address_and_the_cpu_address_apart()
    {
        using TreeBuilder tree = new();
        tree.Function(
            "platform/3fffe40000000.pciex/pci0001:00", "0001:00:00.0", new ConfigBuilder(64).Bar32(0, 0x8000_0000).Bytes,
            TreeBuilder.Lines(TreeBuilder.Line(0x3fe0_8000_0000, 1 << 20, Memory32)));
        HostMachine machine = tree.Read();
        HostBar bar = machine.At("0001:00:00.0").Bars[0];
        Assert.Equal(new GuestAddress(0x8000_0000), bar.Address);
        Assert.Equal(new GuestAddress(0x3fe0_8000_0000), bar.CpuAddress);
        Assert.Equal(HostFindingSeverity.Note, Assert.Single(machine.Findings).Severity);
    }

    [Fact]
    public void An_unassigned_resource_has_a_size_and_no_address()
    {
        using TreeBuilder tree = new();
        tree.Function("pci0000:00", "0000:00:02.0", new ConfigBuilder(64).Bar64(0, 0).Bytes,
            TreeBuilder.Lines(TreeBuilder.Line(0, 1 << 20, Memory64 | 0x20000000)));
        HostBar bar = tree.Read().At("0000:00:02.0").Bars[0];
        Assert.False(bar.Assigned);
        Assert.False(bar.Enabled);
        Assert.Equal((1UL << 20, SizeOrigin.Known), (bar.Size, bar.Origin));
    }

    [Fact]
    public void Legacy_ide_ports_and_a_shadowed_vga_rom_are_fixed()
    {
        using TreeBuilder tree = new();
        string[] lines = TreeBuilder.Lines(TreeBuilder.Line(0x1f0, 8, 0x110), TreeBuilder.Line(0x3f6, 1, 0x110));
        lines[6] = TreeBuilder.Line(0xC0000, 0x20000, 0x212);
        tree.Function("pci0000:00", "0000:00:02.0", new ConfigBuilder(64).Bytes, lines);
        HostMachine machine = tree.Read();
        HostFunction function = machine.At("0000:00:02.0");
        Assert.All(function.AllBars, static bar => Assert.True(bar.Fixed));
        Assert.Equal(3, function.AllBars.Count());
        Assert.Empty(machine.Findings);
    }

    [Theory]
    [InlineData("pci0000:00")]
    [InlineData("platform/40000000.pcie/pci0000:00")]
    public void A_bridge_that_the_bus_list_leaves_out_is_found_where_its_children_stand(string top)
    {
        using TreeBuilder tree = new();
        tree.Function($"{top}/0000:00:01.0", "0000:01:00.0", new ConfigBuilder(64).Bytes);
        tree.File($"devices/{top}/0000:00:01.0/config", ConfigBuilder.Bridge(1, 1, HostPortType.RootPort, length: 64).Bytes);
        HostMachine machine = tree.Read();
        Assert.Equal(2, machine.Functions.Length);
        Assert.Equal(Say.Address("0000:00:01.0"), machine.At("0000:01:00.0").Parent);
        Assert.Equal([Say.Address("0000:01:00.0")], machine.At("0000:00:01.0").Children);
    }

    [Fact]
    public void A_missing_bridge_is_a_finding_and_the_bridge_above_it_stands_in()
    {
        using TreeBuilder tree = new();
        tree.Function("pci0000:00", "0000:00:01.0", ConfigBuilder.Bridge(1, 4, HostPortType.RootPort).Bytes);
        tree.Function("pci0000:00/0000:00:01.0/0000:01:00.0/0000:02:00.0", "0000:03:00.0", new ConfigBuilder().Bytes);
        HostMachine machine = tree.Read();
        Assert.Equal(Say.Address("0000:00:01.0"), machine.At("0000:03:00.0").Parent);
        Assert.Equal(HostFindingKind.MissingBridge, Assert.Single(machine.Findings).Kind);
    }

    [Theory]
    [InlineData("")]
    [InlineData("sys")]
    [InlineData("some-machine/sys")]
    public void Sysfs_is_found_at_the_top_or_a_folder_below(string sys)
    {
        using TreeBuilder tree = new(sys);
        tree.Function("pci0000:00", "0000:00:02.0", new ConfigBuilder(64).Bytes);
        Assert.Single(tree.Read().Functions);
    }

    [Fact]
    public void Devices_that_are_directories_instead_of_links_are_read()
    {
        using TreeBuilder tree = new();
        tree.File("bus/pci/devices/10000:e1:00.0/config", new ConfigBuilder(256).Bytes);
        HostMachine machine = tree.Read();
        Assert.Equal(0x10000u, machine.HostBridges[0].Domain);
        Assert.Equal(0xE1, machine.HostBridges[0].RootBus);
    }

    [Fact]
    public void Driver_group_reserved_regions_and_node_are_read()
    {
        using TreeBuilder tree = new();
        string place = tree.Function("pci0000:00", "0000:00:02.0", new ConfigBuilder(64).Bytes);
        tree.Link(place + "/driver", "../../../bus/pci/drivers/vfio-pci");
        tree.Link(place + "/iommu_group", "../../../kernel/iommu_groups/17");
        tree.File(place + "/numa_node", "3\n");
        tree.File("kernel/iommu_groups/17/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n0x000000fd00000000 0x000000ffffffffff reserved\n");
        tree.Link("kernel/iommu_groups/17/devices/0000:00:02.0", "../../../../" + place);
        tree.File("devices/system/node/node3/meminfo", "Node 3 MemTotal:       2048 kB\n");
        tree.File("devices/system/node/node3/cpulist", "0-3\n");
        HostMachine machine = tree.Read();
        HostFunction function = machine.At("0000:00:02.0");
        Assert.Equal(("vfio-pci", 17, 3), (function.Driver, function.IommuGroup, function.NumaNode));
        Assert.True(machine.KnowsIommuGroups);
        HostIommuGroup group = Assert.Single(machine.IommuGroups);
        Assert.Equal([function.Address], group.Functions);
        Assert.Equal(new HostReservedRegion(AddressRange.FromBounds(new GuestAddress(0xFD_0000_0000), new GuestAddress(0xFF_FFFF_FFFF)), "reserved"),
            function.ReservedRegions[1]);
        Assert.Equal(new HostNumaNode(3, "0-3", 2 << 20), Assert.Single(machine.NumaNodes));
    }

    [Fact]
    public void Vfs_take_their_bars_from_resource_and_their_ids_from_sysfs_or_the_pf()
    {
        using TreeBuilder tree = new();
        string[] lines = TreeBuilder.Lines();
        lines[7] = TreeBuilder.Line(0x20_0000_0000, 4 * 0x4000, Memory64);

        // SR-IOV: TotalVFs 4, NumVFs 2, offset 0x80, stride 2, VF device 0xABCD.
        byte[] pf = new ConfigBuilder().Extended(0x10, 0, 9, 4u << 16 | 4, 2, 2u << 16 | 0x80, 0xABCDu << 16, 1, 1, 0xC, 0x20, 0, 0, 0, 0).Bytes;
        tree.Function("pci0000:00", "0000:01:00.0", pf, lines);
        byte[] vf = new ConfigBuilder(4096, 0xFFFF, 0xFFFF).U16(4, 0).Bytes;
        tree.Function("pci0000:00", "0000:01:10.0", vf, TreeBuilder.Lines(TreeBuilder.Line(0x20_0000_0000, 0x4000, Memory64)));
        tree.Function("pci0000:00", "0000:01:10.2", vf, TreeBuilder.Lines(TreeBuilder.Line(0x20_0000_4000, 0x4000, Memory64)));
        HostMachine machine = tree.Read();
        HostSriov sriov = machine.At("0000:01:00.0").Sriov!;
        Assert.Equal((4, 2, 0x80, 2), (sriov.TotalVfs, sriov.NumVfs, sriov.FirstVfOffset, sriov.VfStride));
        Assert.Equal(new HostVfBar(0, BarKind.Memory64Prefetchable, new GuestAddress(0x20_0000_0000), 0x4000, SizeOrigin.Known), Assert.Single(sriov.VfBars));
        HostFunction second = machine.At("0000:01:10.2");
        Assert.Equal(Say.Address("0000:01:00.0"), second.PhysicalFunction);
        Assert.Equal((0x1234, 0xABCD), (second.Identity.Vendor, second.Identity.Device));
        Assert.True(second.Bars[0].Enabled);
        Assert.Empty(machine.Findings);
        Assert.Equal(P2pDistanceKind.SameDevice, HostTopology.Distance(machine, second.Address, Say.Address("0000:01:00.0")).Kind);
    }

    [Fact]
    public void A_config_of_ones_is_a_finding_and_the_files_around_it_say_what_it_is()
    {
        using TreeBuilder tree = new();
        byte[] ones = new byte[64];
        Array.Fill(ones, (byte)0xFF);
        string place = tree.Function("pci0000:00", "0000:00:02.0", ones);
        tree.File(place + "/vendor", "0x10de\n");
        tree.File(place + "/device", "0x2330\n");
        tree.File(place + "/class", "0x030200\n");
        HostMachine machine = tree.Read();
        Assert.Equal(new PciIdentity(0x10DE, 0x2330, 0x030200), machine.At("0000:00:02.0").Identity);
        Assert.Equal(HostFindingKind.Configuration, Assert.Single(machine.Findings).Kind);
        File.Delete(Path.Join(tree.Sys, place, "vendor"));
        Assert.Contains("0000:00:02.0", Say.Refusal(() => tree.Read()));
    }

    [Theory]
    [InlineData("resource", "0x0 0x1\n", "resource line 1")]
    [InlineData("resource", "0x0000000000000000 0x0000000000000000 0x0000000000000000\n0x10 0x5 0x200\n", "resource line 2")]
    [InlineData("resource", "1 2 3\n", "resource line 1")]
    [InlineData("class", "0x1000000\n", "class")]
    [InlineData("vendor", "vendor\n", "vendor")]
    [InlineData("numa_node", "many\n", "numa_node")]
    [InlineData("config", "short", "config")]
    [InlineData("sriov_totalvfs", "-3\n", "sriov_totalvfs")]
    public void A_damaged_attribute_is_refused_with_its_place(string name, string content, string place)
    {
        using TreeBuilder tree = OneEndpoint();
        tree.File($"devices/pci0000:00/0000:00:02.0/{name}", content);
        Assert.Contains($"0000:00:02.0/{place}", Say.Refusal(() => tree.Read()));
    }

    [Fact]
    public void An_endless_attribute_is_refused()
    {
        using TreeBuilder tree = OneEndpoint();
        using (FileStream file = new(Path.Join(tree.Sys, "devices/pci0000:00/0000:00:02.0/resource"), FileMode.Create))
        {
            file.SetLength(10L << 30);
        }

        Assert.Contains("resource: is larger", Say.Refusal(() => tree.Read()));
    }

    [Fact]
    public void Links_that_leave_the_tree_end_at_its_top()
    {
        using TreeBuilder outside = OneEndpoint();
        using TreeBuilder tree = new();
        tree.Link("bus/pci/devices/0000:00:02.0", Path.Join(outside.Sys, "devices/pci0000:00/0000:00:02.0"));
        Assert.Contains("leads nowhere", Say.Refusal(() => tree.Read()));
        tree.Link("bus/pci/devices/0000:00:01.0", "../../../../../../../../../../etc");
        Assert.Contains("leads nowhere", Say.Refusal(() => tree.Read()));
    }

    [Fact]
    public void Links_in_circles_are_refused()
    {
        using TreeBuilder tree = new();
        tree.Link("bus/pci/devices/0000:00:02.0", "0000:00:03.0");
        tree.Link("bus/pci/devices/0000:00:03.0", "0000:00:02.0");
        Assert.Contains("circles", Say.Refusal(() => tree.Read()));
    }

    [Fact]
    public void A_directory_without_sysfs_is_refused()
    {
        using TreeBuilder tree = new();
        Directory.Delete(Path.Join(tree.Sys, "bus"), recursive: true);
        Assert.Contains("sys/bus/pci/devices", Say.Refusal(() => tree.Read()));
        Assert.Contains("cannot be read", Say.Refusal(() => HostReader.Read(Path.Join(tree.Root, "none"))));
    }

    [Fact]
    public void This_machine_is_read()
    {
        Assert.SkipUnless(Directory.Exists("/sys/bus/pci/devices"), "this machine has no PCI bus");
        HostMachine machine = HostReader.ReadLive();
        Assert.Equal(HostOriginKind.LiveSysfs, machine.Origin.Kind);
        Assert.True(machine.Functions.Length >= Directory.GetFileSystemEntries("/sys/bus/pci/devices").Length);
        foreach (HostFunction function in machine.Functions)
        {
            string directory = $"/sys/bus/pci/devices/{function.Address}";
            if (Directory.Exists(directory))
            {
                Assert.Equal(File.ReadAllText(directory + "/vendor").Trim(), $"0x{function.Identity.Vendor:x4}");
            }
        }
    }

    [Fact]
    public void Links_that_a_copy_turned_into_files_are_followed()
    {
        using TreeBuilder linked = new();
        using TreeBuilder copied = new();
        new SampleMachine(7).Write(linked);
        new SampleMachine(7).Write(copied);
        Stack<string> open = new([copied.Sys]);
        while (open.TryPop(out string? directory))
        {
            foreach (string path in Directory.GetFileSystemEntries(directory))
            {
                if (new FileInfo(path).LinkTarget is { } target)
                {
                    // A driver's link leads out of the capture; its copy names it all the same.
                    File.Delete(path);
                    File.WriteAllText(path, target.StartsWith('/') ? "../../.." + target["/sys".Length..] : target);
                }
                else if (Directory.Exists(path))
                {
                    open.Push(path);
                }
            }
        }

        HostMachine truth = linked.Read();
        HostMachine read = copied.Read();
        Assert.Equal(truth.Functions.Select(static f => $"{f.Address} {f.Identity} {f.Driver} {f.IommuGroup} {f.PhysicalFunction}"),
            read.Functions.Select(static f => $"{f.Address} {f.Identity} {f.Driver} {f.IommuGroup} {f.PhysicalFunction}"));
        Assert.Equal(truth.IommuGroups.Select(static g => string.Join(' ', g.Functions)), read.IommuGroups.Select(static g => string.Join(' ', g.Functions)));
    }
}
