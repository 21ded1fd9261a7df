using Aperture.Host.Capture;
using Aperture.Host.Model;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Doctor.Tests;

/// <summary>
/// A made-up server as its kernel shows it: a root port 00:01.0 with a switch (01:00.0, ports 02:00.0 and 02:01.0), a GPU 03:00.0 and a network controller
/// 04:00.0 below it, and a drive 05:00.0 below another root port, 00:02.0. Everything about it is as it should be until a test says otherwise.
/// </summary>
internal sealed class Machine : IDisposable
{
    internal const string Gpu = "0000:03:00.0";
    internal const string Nic = "0000:04:00.0";
    internal const string Drive = "0000:05:00.0";
    internal const string GpuPort = "0000:02:00.0";
    internal const string NicPort = "0000:02:01.0";
    internal const ushort Isolating = 0x1D;

    private const ulong Memory = 0x40200;
    private const ulong Prefetchable64 = 0x14220C;
    private readonly TreeBuilder _tree = new();
    private readonly Dictionary<string, string> _places = [];

    internal string Root => _tree.Root;

    /// <summary>ACS control of the switch's downstream ports; null for no capability.</summary>
    internal ushort? SwitchAcs { get; init; } = Isolating;

    /// <summary>ACS control of the root ports; null for no capability.</summary>
    internal ushort? RootAcs { get; init; } = Isolating;

    /// <summary>Bytes of configuration space that are shown.</summary>
    internal int Shown { get; init; } = 4096;

    /// <summary>Where the GPU's aperture lies; 0 for nowhere.</summary>
    internal ulong Aperture { get; init; } = 0x38_0000_0000;

    /// <summary>Bytes of the GPU's aperture.</summary>
    internal ulong ApertureSize { get; init; } = 1UL << 30;

    /// <summary>The largest size that it offers, as a power of two of MiB; 0 for no resizable BAR.</summary>
    internal int LargestPower { get; init; } = 10;

    /// <summary>True when the GPU can reset itself.</summary>
    internal bool FunctionReset { get; init; } = true;

    /// <summary>True when the GPU has an audio function beside it.</summary>
    internal bool Sound { get; init; }

    /// <summary>True when the drive has MSI.</summary>
    internal bool DriveMessages { get; init; } = true;

    /// <summary>The GPU's ids.</summary>
    internal (ushort Vendor, ushort Device) GpuIds { get; init; } = (0x10DE, 0x20B0);

    /// <summary>The root ports' device id; their vendor is Intel.</summary>
    internal ushort RootId { get; init; } = 0x2030;

    /// <summary>VFs that the network controller can have; 0 for no SR-IOV.</summary>
    internal int Vfs { get; init; } = 8;

    /// <summary>Where their BARs lie; 0 for nowhere.</summary>
    internal ulong VfBars { get; init; } = 0x38_9000_0000;

    /// <summary>Routing id distance from the network controller to its first VF.</summary>
    internal ushort VfOffset { get; init; } = 1;

    /// <summary>Lays the machine out; call it once.</summary>
    internal Machine Build()
    {
        ulong windowEnd = Aperture >= 1UL << 32 ? 0x40_0000_0000UL : 0;
        (ulong start, ulong size) = windowEnd != 0 ? (0x38_0000_0000UL, 1UL << 32) : (0UL, 0UL);
        Port("pci0000:00", "0000:00:01.0", 1, 4, HostPortType.RootPort, RootAcs, start, size);
        Port("pci0000:00/0000:00:01.0", "0000:01:00.0", 2, 4, HostPortType.SwitchUpstream, null, start, size);
        Port("pci0000:00/0000:00:01.0/0000:01:00.0", GpuPort, 3, 3, HostPortType.SwitchDownstream, SwitchAcs, start, size / 2);
        Port("pci0000:00/0000:00:01.0/0000:01:00.0", NicPort, 4, 4, HostPortType.SwitchDownstream, SwitchAcs, start + (size / 2), size / 2);
        Port("pci0000:00", "0000:00:02.0", 5, 5, HostPortType.RootPort, RootAcs, 0, 0);
        AddGpu();
        AddNic();
        AddDrive();
        System();
        return this;
    }

    /// <summary>Reads it.</summary>
    internal HostMachine Read() => _tree.Read();

    /// <summary>Reads what a capture of it holds.</summary>
    internal HostMachine ReadCaptured()
    {
        using MemoryStream output = new();
        HostCapture.Write(Root, output);
        return Host.HostReader.ReadStream(new MemoryStream(output.ToArray()), "capture.tar.gz");
    }

    /// <summary>Looks at devices for one goal.</summary>
    internal Diagnosis Look(Goals goal, params string[] devices) => HostDoctor.Examine(Read(), [.. devices.Select(Say.Address)], goal, static _ => []);

    /// <summary>Writes a file, from the root of the machine's file system.</summary>
    internal Machine File(string path, string content)
    {
        string full = Path.Join(Root, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        global::System.IO.File.WriteAllText(full, content);
        return this;
    }

    /// <summary>Writes a file of a function.</summary>
    internal Machine Of(string address, string name, string content) => File($"sys/{_places[address]}/{name}", content);

    /// <summary>Takes a file or folder away.</summary>
    internal Machine Without(string path)
    {
        string full = Path.Join(Root, path);
        if (Directory.Exists(full))
        {
            Directory.Delete(full, recursive: true);
        }
        else
        {
            global::System.IO.File.Delete(full);
        }

        return this;
    }

    /// <summary>Takes a file or link of a function away.</summary>
    internal Machine Lacking(string address, string name) => Without($"sys/{_places[address]}/{name}");

    /// <summary>Binds a driver.</summary>
    internal Machine Driver(string address, string driver)
    {
        Lacking(address, "driver");
        _tree.Link($"{_places[address]}/driver", "/sys/bus/pci/drivers/" + driver);
        return this;
    }

    /// <summary>Puts functions into an IOMMU group.</summary>
    internal Machine Group(int number, params string[] addresses)
    {
        foreach (string address in addresses)
        {
            Lacking(address, "iommu_group");
            string up = string.Concat(Enumerable.Repeat("../", _places[address].Split('/').Length));
            _tree.Link($"{_places[address]}/iommu_group", $"{up}kernel/iommu_groups/{number}");
            _tree.Link($"kernel/iommu_groups/{number}/devices/{address}", $"../../../../{_places[address]}");
        }

        _tree.File($"kernel/iommu_groups/{number}/reserved_regions", "0x00000000fee00000 0x00000000feefffff msi\n");
        _tree.File($"kernel/iommu_groups/{number}/type", "DMA-FQ\n");
        return this;
    }

    public void Dispose() => _tree.Dispose();

    private void Port(string above, string address, byte first, byte last, HostPortType type, ushort? acs, ulong window, ulong size)
    {
        ConfigBuilder config = ConfigBuilder.Bridge(first, last, type, 0x9000_0000u + ((uint)first << 24), 16 << 20, window, size);
        config.U16(0, 0x8086).U16(2, RootId);
        if (acs is { } enabled)
        {
            config.Acs(enabled);
        }

        Add(above, address, config, [.. Enumerable.Repeat(TreeBuilder.Empty, 17)]);
        Driver(address, "pcieport");
    }

    private void AddGpu()
    {
        ConfigBuilder config = new ConfigBuilder(vendor: GpuIds.Vendor, device: GpuIds.Device, classCode: 0x030200).Express(HostPortType.Endpoint);
        config.U32(0x44, FunctionReset ? 1u << 28 : 0).Capability(0x05, 0, 0, 0, 0).U8(0x3D, 1);
        if (LargestPower != 0)
        {
            uint power = (uint)global::System.Numerics.BitOperations.Log2(ApertureSize >> 20);
            config.Extended(0x15, (1u << (LargestPower + 4)) | (1u << ((int)power + 4)), (power << 8) | (1 << 5));
        }

        if (Aperture != 0)
        {
            config.Bar64(0, Aperture);
        }

        string[] bars = [TreeBuilder.Line(Aperture, ApertureSize, Prefetchable64), TreeBuilder.Empty];
        Add("pci0000:00/0000:00:01.0/0000:01:00.0/" + GpuPort, Gpu, config, TreeBuilder.Lines(bars));
        Of(Gpu, "reset_method", "flr bus\n").Driver(Gpu, "nvidia").Group(10, Gpu);
        if (Sound)
        {
            Add("pci0000:00/0000:00:01.0/0000:01:00.0/" + GpuPort, "0000:03:00.1", new ConfigBuilder(classCode: 0x040300), TreeBuilder.Lines());
            Group(10, "0000:03:00.1").Of("0000:03:00.1", "reset_method", "bus\n");
        }
    }

    private void AddNic()
    {
        ConfigBuilder config = new ConfigBuilder(vendor: 0x15B3, device: 0x1019, classCode: 0x020700).Express(HostPortType.Endpoint);
        config.U32(0x44, 1u << 28).Capability(0x11, 0, 0, 0, 0).U8(0x3D, 1).Bar64(0, 0x38_8000_0000);
        if (Vfs != 0)
        {
            int at = config.NextExtended;
            config.Extended(0x10, 0, 0, (uint)Vfs << 16, 0, (uint)VfOffset << 16, 0x101A_0001, 0, 0, (uint)VfBars | 0xC, (uint)(VfBars >> 32), 0, 0, 0, 0, 0);
            config.U16(at + 0x0E, Vfs).U16(at + 0x14, VfOffset).U16(at + 0x16, 1);
        }

        string[] bars = [TreeBuilder.Line(0x38_8000_0000, 32 << 20, Prefetchable64), .. Enumerable.Repeat(TreeBuilder.Empty, 6)];
        string[] vfs = Vfs == 0 ? [] : [TreeBuilder.Line(VfBars, (ulong)Vfs << 20, Prefetchable64), .. Enumerable.Repeat(TreeBuilder.Empty, 5)];
        Add("pci0000:00/0000:00:01.0/0000:01:00.0/" + NicPort, Nic, config, [.. bars, .. vfs]);
        if (Vfs != 0)
        {
            Of(Nic, "sriov_totalvfs", $"{Vfs}\n").Of(Nic, "sriov_numvfs", "0\n").Of(Nic, "sriov_offset", $"{VfOffset}\n").Of(Nic, "sriov_stride", "1\n");
        }

        Of(Nic, "reset_method", "flr bus\n").Driver(Nic, "mlx5_core").Group(11, Nic);
    }

    private void AddDrive()
    {
        ConfigBuilder config = new ConfigBuilder(vendor: 0x144D, device: 0xA80A, classCode: 0x010802).Express(HostPortType.Endpoint);
        config.U32(0x44, 1u << 28).U8(0x3D, 1).Bar32(0, 0x9500_0000);
        if (DriveMessages)
        {
            config.Capability(0x11, 0, 0, 0, 0);
        }

        Add("pci0000:00/0000:00:02.0", Drive, config, TreeBuilder.Lines(TreeBuilder.Line(0x9500_0000, 16 << 10, Memory)));
        Of(Drive, "reset_method", "flr bus\n").Of(Drive, "irq", "16\n").Driver(Drive, "nvme").Group(12, Drive);
    }

    private void Add(string above, string address, ConfigBuilder config, string[] resources)
    {
        _places[address] = _tree.Function(above, address, config.Bytes[..Shown], resources);
        Of(address, "numa_node", "0\n");
    }

    private void System() => File("proc/cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/secret intel_iommu=on iommu=pt\n")
        .File("proc/sys/kernel/osrelease", "6.19.2-amd64\n")
        .File("proc/cpuinfo", "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel name\t: Some Xeon\naddress sizes\t: 46 bits physical, "
            + "48 bits virtual\n\n"
            + "processor\t: 1\nvendor_id\t: GenuineIntel\n")
        .File("proc/iomem", "00000000-00000fff : Reserved\n3800000000-3fffffffff : PCI Bus 0000:00\n  3800000000-383fffffff : 0000:03:00.0\n")
        .File("proc/self/limits", "Limit  Soft Hard Units\nMax locked memory         unlimited            unlimited            bytes\n")
        .File("proc/self/status", "Name:\tx\nCapEff:\t0000000000000000\n")
        .File("etc/modprobe.d/vfio.conf", "# ours\noptions vfio-pci ids=10de:20b0,15b3:1019,144d:a80a\n")
        .File("sys/class/iommu/dmar0/intel-iommu/cap", "8d2078c106f0466\n").File("sys/class/iommu/dmar0/intel-iommu/ecap", "f050da\n")
        .File("sys/class/misc/vfio/uevent", "").File("sys/class/misc/iommu/uevent", "").File("sys/firmware/acpi/tables/DMAR", "x")
        .File("sys/class/dmi/id/sys_vendor", "Some\n").File("sys/class/dmi/id/product_name", "Server\n")
        .File("sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "65535\n")
        .File("sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages", "32\n").File("sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "32\n")
        .File("sys/devices/system/node/node0/cpulist", "0-15\n").File("sys/devices/system/node/node0/meminfo", "Node 0 MemTotal: 67108864 kB\n");
}
