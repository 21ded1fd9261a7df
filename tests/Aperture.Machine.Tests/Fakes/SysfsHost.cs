using System.Globalization;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Machine.Tests.Fakes;

/// <summary>
/// A small server's sysfs: below a root port a switch with a GPU and a NIC, each in an IOMMU group of its own; below another an NVMe drive and the VFs of
/// a second NIC. <c>direct</c>: the switch's ports have no access control, so that peers reach each other without the IOMMU.
/// </summary>
internal sealed class SysfsHost : IDisposable
{
    public const string Gpu = "0000:03:00.0";
    public const string Nic = "0000:04:00.0";
    public const string Nvme = "0000:05:00.0";
    public const string Pf = "0000:06:00.0";
    public const string Vf0 = "0000:06:10.0";
    public const string Vf1 = "0000:06:10.2";
    public const string RootPort = "0000:00:01.0";
    public const ulong GpuBar = 0x3800_0000_0000;
    public const ulong NvmeBar = 0xA000_0000;

    private const ulong Memory64Prefetchable = 0x14_220C;
    private const ulong Memory64 = 0x14_0204;
    private const ulong Memory32 = 0x4_0200;
    private const ulong Io = 0x4_0101;
    private const ulong RomFlags = 0x4_6200;

    // Resizable BAR (PCI Express 5.0, section 7.8.6): BAR 1 can have 64 GiB to 512 GiB, and has the first.
    private static readonly uint[] ResizableBar1 = [0xFu << 20, 1 | 1 << 5 | 16 << 8];
    private readonly TreeBuilder _tree = new();
    private readonly IReadOnlyDictionary<string, (AtomicOps Atomics, bool Blocks)>? _atomics;

    public SysfsHost(bool direct = true, string nvmeReserved = "", ulong nvmeBar = NvmeBar, string pfDriver = "igb", bool sriov = false, bool resizable = false,
        IReadOnlyDictionary<string, (AtomicOps Atomics, bool Blocks)>? atomics = null)
    {
        _atomics = atomics;
        ushort acs = direct ? (ushort)0 : (ushort)0x1D;
        Bridge("pci0000:00", RootPort, ConfigBuilder.Bridge(1, 4, HostPortType.RootPort, 0x9000_0000, 0x1000_0000, GpuBar, 0x40_0000_0000), acs);
        Bridge($"pci0000:00/{RootPort}", "0000:01:00.0",
            ConfigBuilder.Bridge(2, 4, HostPortType.SwitchUpstream, 0x9000_0000, 0x1000_0000, GpuBar, 0x40_0000_0000), null);
        string upstream = $"pci0000:00/{RootPort}/0000:01:00.0";
        Bridge(upstream, "0000:02:00.0", ConfigBuilder.Bridge(3, 3, HostPortType.SwitchDownstream, 0x9000_0000, 0x200_0000, GpuBar, 0x20_0000_0000), acs);
        Bridge(upstream, "0000:02:01.0", ConfigBuilder.Bridge(4, 4, HostPortType.SwitchDownstream, 0x9200_0000, 0x10_0000), acs);
        Endpoint($"{upstream}/0000:02:00.0", Gpu, 0x030200, 30, "vfio-pci", resizable ? ResizableBar1 : null,
            TreeBuilder.Line(0x9000_0000, 16 << 20, Memory32), TreeBuilder.Line(GpuBar, 64UL << 30, Memory64Prefetchable), TreeBuilder.Empty);
        Endpoint($"{upstream}/0000:02:01.0", Nic, 0x020000, 31, "vfio-pci", TreeBuilder.Line(0x9200_0000, 128 << 10, Memory32),
            TreeBuilder.Line(0x3000, 32, Io), TreeBuilder.Line(0x9202_0000, 256, Memory32));
        Bridge("pci0000:00", "0000:00:02.0", ConfigBuilder.Bridge(5, 5, HostPortType.RootPort, 0xA000_0000, 0x100_0000), acs);
        Endpoint("pci0000:00/0000:00:02.0", Nvme, 0x010802, 32, "vfio-pci", TreeBuilder.Line(nvmeBar, 16 << 10, Memory64));
        Bridge("pci0000:00", "0000:00:03.0", ConfigBuilder.Bridge(6, 6, HostPortType.RootPort, 0xA100_0000, 0x100_0000), acs);
        Endpoint("pci0000:00/0000:00:03.0", Pf, 0x020000, 33, pfDriver, TreeBuilder.Line(0xA100_0000, 128 << 10, Memory32));
        if (sriov)
        {
            Sriov($"devices/pci0000:00/0000:00:03.0/{Pf}");
        }

        Vf(Vf0, 34, 0xA110_0000);
        Vf(Vf1, 35, 0xA110_4000);
        _tree.Function("pci0000:00", "0000:00:00.0", new ConfigBuilder(vendor: 0x8086, classCode: 0x060000).Bytes, TreeBuilder.Lines());
        foreach (int group in new[] { 30, 31, 32, 33, 34, 35 })
        {
            string extra = group == 32 ? nvmeReserved : "";
            _tree.File($"kernel/iommu_groups/{group}/reserved_regions",
                $"0x0000000000000000 0x0000000000ffffff direct-relaxable\n0x00000000fee00000 0x00000000feefffff msi\n{extra}");
        }
    }

    /// <summary>What the kernel says of a PF with two of seven VFs, whose routing ids are 0x80 from its own and 2 apart.</summary>
    private void Sriov(string place)
    {
        foreach ((string file, int value) in new[] { ("totalvfs", 7), ("numvfs", 2), ("offset", 128), ("stride", 2) })
        {
            _tree.File($"{place}/sriov_{file}", $"{value}\n");
        }

        _tree.File($"{place}/sriov_vf_device", "10ca\n");
    }

    public HostMachine Read() => _tree.Read();

    /// <summary>Its folder, for <c>--host</c>.</summary>
    public string Root => _tree.Root;

    public void Dispose() => _tree.Dispose();

    private void Vf(string address, int group, ulong bar)
    {
        byte[] config = new ConfigBuilder(classCode: 0x020000).Express(HostPortType.Endpoint).Bytes;
        string place = _tree.Function("pci0000:00/0000:00:03.0", address, config, TreeBuilder.Lines(TreeBuilder.Line(bar, 16 << 10, Memory64Prefetchable)));
        _tree.Link($"{place}/physfn", $"../{Pf}");
        Group(place, address, group);
        Driver(place, "vfio-pci");
    }

    private void Endpoint(string above, string address, uint classCode, int group, string driver, params string[] resources) =>
        Endpoint(above, address, classCode, group, driver, null, resources);

    private void Endpoint(string above, string address, uint classCode, int group, string driver, uint[]? resizable, params string[] resources)
    {
        ConfigBuilder config = new ConfigBuilder(classCode: classCode).Express(HostPortType.Endpoint);
        _ = resizable is null ? config : config.Extended(0x15, resizable);
        for (int index = 0; index < resources.Length; index++)
        {
            string[] words = resources[index].Split(' ');
            ulong at = Number(words[0]);
            ulong flags = Number(words[2]);
            _ = (flags & 0x10_0000) != 0 ? config.Bar64(index, at, (flags & 0x2000) != 0) : config.Bar32(index, (uint)at | (uint)(flags & 1));
        }

        string place = _tree.Function(above, address, config.Bytes, TreeBuilder.Lines(resources));
        Group(place, address, group);
        Driver(place, driver);
    }

    private static ulong Number(string text) => ulong.Parse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private void Bridge(string above, string address, ConfigBuilder config, ushort? acs)
    {
        if (_atomics?.TryGetValue(address, out (AtomicOps Atomics, bool Blocks) has) == true)
        {
            // Device capabilities 2 and device control 2 of the capability, which is at 0x40.
            config.U32(0x64, (uint)has.Atomics).U16(0x68, has.Blocks ? 1 << 7 : 0);
        }

        _tree.Function(above, address, (acs is { } enabled ? config.Acs(enabled) : config).Bytes, TreeBuilder.Lines());
    }

    private void Group(string place, string address, int group)
    {
        string up = string.Concat(Enumerable.Repeat("../", place.Split('/').Length));
        _tree.Link($"{place}/iommu_group", $"{up}kernel/iommu_groups/{group}");
        _tree.Link($"kernel/iommu_groups/{group}/devices/{address}", $"../../../../{place}");
    }

    private void Driver(string place, string name) =>
        _tree.Link($"{place}/driver", string.Concat(Enumerable.Repeat("../", place.Split('/').Length)) + "bus/pci/drivers/" + name);
}
