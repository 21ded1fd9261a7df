using System.Globalization;
using System.Text;
using Aperture.Host.Model;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Host.Tests;

/// <summary>A function of a made-up machine: its configuration space, what the kernel lists for it, and how lspci prints it.</summary>
/// <param name="Address">Where it stands.</param>
/// <param name="Above">Its directory's place in the device tree.</param>
/// <param name="Config">Its registers.</param>
/// <param name="Resources">The lines of sysfs' resource file.</param>
/// <param name="Header">What lspci prints behind the address with -nn.</param>
/// <param name="Regions">Region, bus and window lines.</param>
/// <param name="Capabilities">The lines of its capabilities in -vv.</param>
internal sealed record SampleFunction(string Address, string Above, byte[] Config, string[] Resources, string Header, string Regions, string Capabilities)
{
    internal string? Driver { get; init; }

    internal int? Group { get; init; }

    internal int? Node { get; init; }

    /// <summary>Vendor and device where configuration space does not show them (a VF).</summary>
    internal (ushort Vendor, ushort Device)? Ids { get; init; }

    internal string? PhysicalFunction { get; init; }

    private bool Has(int bit) => (Config[4] & bit) != 0;

    /// <summary>As <c>lspci -vv</c> prints it.</summary>
    internal string Verbose()
    {
        StringBuilder text = new($"{Address} {Header}\n");
        text.Append(CultureInfo.InvariantCulture,
            $"\tControl: I/O{Sign(Has(1))} Mem{Sign(Has(2))} BusMaster{Sign(Has(4))} SpecCycle-\n\tStatus: Cap+ 66MHz-\n");
        text.Append(Node is { } node ? $"\tNUMA node: {node}\n" : "").Append(Group is { } group ? $"\tIOMMU group: {group}\n" : "");
        return text.Append(Regions).Append(Capabilities).Append(Driver is null ? "" : $"\tKernel driver in use: {Driver}\n").ToString();
    }

    internal static char Sign(bool on) => on ? '+' : '-';
}

/// <summary>
/// Machines with everything that a dump can hide: ports with and without access control, VFs, resizable BARs, IDE in compatibility mode, registers that are no
/// BARs, Enhanced Allocation, subtractive and CardBus bridges. Each is written as a sysfs tree and as each form of listing, from the same facts.
/// </summary>
internal sealed class SampleMachine
{
    private const ulong Mebibyte = 1 << 20;
    private readonly Random _random;
    private ulong _low = 0x9000_0000;
    private ulong _high = 0x38_0000_0000;
    private ulong _ports = 0x2000;
    private byte _bus = 1;

    internal SampleMachine(int seed)
    {
        _random = new Random(seed);
        Plain("0000:00:00.0", 0x0600, new ConfigBuilder(classCode: 0x060000));
        for (int i = _random.Next(1, 5); i > 0; i--)
        {
            Port(i);
        }

        Ide();
        Phantom();
        Allocated();
        Subtractive();
        CardBus();
    }

    internal List<SampleFunction> Functions { get; } = [];

    /// <summary>The machine as its kernel shows it.</summary>
    internal void Write(TreeBuilder tree)
    {
        foreach (SampleFunction function in Functions)
        {
            string place = tree.Function(function.Above, function.Address, function.Config, function.Resources);
            tree.File(place + "/class", $"0x{function.Config[11]:x2}{function.Config[10]:x2}{function.Config[9]:x2}\n");
            tree.File(place + "/vendor", $"0x{function.Ids?.Vendor ?? BitConverter.ToUInt16(function.Config, 0):x4}\n");
            tree.File(place + "/device", $"0x{function.Ids?.Device ?? BitConverter.ToUInt16(function.Config, 2):x4}\n");
            tree.File(place + "/irq", "0\n");
            tree.File(place + "/numa_node", $"{function.Node ?? -1}\n");
            if (function.Driver is { } driver)
            {
                tree.Link(place + "/driver", "/sys/bus/pci/drivers/" + driver);
            }

            if (function.Group is { } group)
            {
                string top = string.Concat(Enumerable.Repeat("../", place.Split('/').Length));
                tree.Link(place + "/iommu_group", $"{top}kernel/iommu_groups/{group}");
                tree.Link($"kernel/iommu_groups/{group}/devices/{function.Address}", $"../../../../{place}");
            }

            if (function.PhysicalFunction is { } pf)
            {
                tree.Link(place + "/physfn", "../" + pf);
            }
        }
    }

    /// <summary><c>lspci -Dvvnn</c>.</summary>
    internal string Verbose() => string.Concat(Functions.Select(static f => f.Verbose() + "\n"));

    /// <summary><c>lspci -Dvvnnxxxx</c>.</summary>
    internal string VerboseHex() => string.Concat(Functions.Select(static f => f.Verbose() + Dump(f)));

    /// <summary><c>lspci -Dnnxxxx</c>.</summary>
    internal string Hex() => string.Concat(Functions.Select(static f => $"{f.Address} {f.Header}\n{Dump(f)}"));

    private static string Dump(SampleFunction function)
    {
        string whole = Say.Dump(function.Address, function.Config);
        return whole[(whole.IndexOf('\n', StringComparison.Ordinal) + 1)..];
    }

    private void Add(SampleFunction function) => Functions.Add(function with
    {
        Driver = _random.Next(2) == 0 ? null : $"driver{_random.Next(9)}",
        Group = function.Group ?? Functions.Count,
        Node = _random.Next(2) == 0 ? null : _random.Next(4),
    });

    private static string Header(int classCode, int vendor = 0x1234, int device = 0x5678, int progIf = 0) =>
        $"Some class [{classCode:x4}]: Some [maker] device [{vendor:x4}:{device:x4}] (rev 01)" + (progIf == 0 ? "" : $" (prog-if {progIf:x2} [Some])");

    private void Plain(string address, int classCode, ConfigBuilder config) =>
        Add(new SampleFunction(address, "pci0000:00", config.Bytes, TreeBuilder.Lines(), Header(classCode), "", ""));

    private void Port(int device)
    {
        byte secondary = _bus++;
        (_low, _high) = (Up(_low, Mebibyte), Up(_high, Mebibyte));
        (ulong memory, ulong prefetchable) = (_low, _high);
        string address = $"0000:00:{device:x2}.0";
        int at = Functions.Count;
        Endpoint($"0000:{secondary:x2}:00.0", $"pci0000:00/{address}");
        (_low, _high) = (Up(_low, Mebibyte), Up(_high, Mebibyte));
        ConfigBuilder config = ConfigBuilder.Bridge(
            secondary, secondary, HostPortType.RootPort, (uint)memory, (uint)(_low - memory), prefetchable, _high - prefetchable);
        int slot = _random.Next(1, 100);
        config.U16(0x42, 2 | 4 << 4 | 1 << 8).U32(0x54, (uint)slot << 19 | 1 << 6).U32(0x64, 1 << 5).U16(0x68, 1 << 5);
        config.U32(0x4C, 4 | 16 << 4).U16(0x52, 3 | 8 << 4);
        string capabilities = $"\tCapabilities: [40] Express (v2) Root Port (Slot+), MSI 00\n\t\tLnkCap:\tPort #0, Speed 16GT/s, Width x16, ASPM L1\n"
            + "\t\tLnkSta:\tSpeed 8GT/s (downgraded), Width x8 (downgraded)\n\t\tSltCap:\tAttnBtn- PwrCtrl- HotPlug+ Surprise-\n"
            + $"\t\t\tSlot #{slot}, PowerLimit 0W; Interlock- NoCompl-\n\t\tDevCap2: Completion Timeout: Not Supported, ARIFwd+\n\t\tDevCtl2: Completion "
            + "Timeout: 50us, ARIFwd+\n";
        if (_random.Next(2) == 0)
        {
            config.Acs(0x1D);
            capabilities += "\tCapabilities: [100 v1] Access Control Services\n\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- "
                + "DirectTrans+\n"
                + "\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n";
        }
        else
        {
            config.Extended(0x0B);
            capabilities += "\tCapabilities: [100 v1] Vendor Specific Information\n";
        }

        string windows = $"\tBus: primary=00, secondary={secondary:x2}, subordinate={secondary:x2}, sec-latency=0\n\tI/O behind bridge: 0000f000-00000fff "
            + "[disabled] [16-bit]\n"
            + Window("Memory", memory, _low, 8) + Window("Prefetchable memory", prefetchable, _high, 16);
        Functions.Insert(at, new SampleFunction(
            address, "pci0000:00", config.Bytes, TreeBuilder.Lines(), Header(0x0604), windows, capabilities)
        { Group = 40 + device });
    }

    private static string Window(string name, ulong start, ulong end, int digits)
    {
        string first = (start == end ? 0xFFF0_0000 : start).ToString("x" + digits, CultureInfo.InvariantCulture);
        string last = (start == end ? 0x000F_FFFF : end - 1).ToString("x" + digits, CultureInfo.InvariantCulture);
        return $"\t{name} behind bridge: {first}-{last} {(start == end ? "[disabled] " : "")}[{digits * 4}-bit]\n";
    }

    private void Endpoint(string address, string above)
    {
        ConfigBuilder config = new ConfigBuilder().Express(HostPortType.Endpoint);
        List<string> resources = [];
        StringBuilder regions = new();
        for (int index = 0; index < 6 && _random.Next(6) != 0;)
        {
            index += Bar(config, resources, regions, index);
        }

        resources.AddRange(Enumerable.Repeat(TreeBuilder.Empty, 6 - resources.Count));
        string rom = TreeBuilder.Empty;
        if (_random.Next(2) == 0)
        {
            ulong at = Take(ref _low, 64 << 10);
            config.U32(0x30, (uint)at);
            rom = TreeBuilder.Line(at, 64 << 10, 0x46200);
            regions.Append(CultureInfo.InvariantCulture, $"\tExpansion ROM at {at:x8} [disabled] [size=64K]\n");
        }

        string capabilities = "\tCapabilities: [40] Express (v2) Endpoint, MSI 00\n\t\tDevCap2: Completion Timeout: Not Supported, ARIFwd-\n";
        config.Extended(0x0F, (uint)_random.Next(2) << 31);
        bool ats = (config.Bytes[0x107] & 0x80) != 0;
        capabilities += $"\tCapabilities: [100 v1] Address Translation Service (ATS)\n\t\tATSCap:\tInvalidate Queue Depth: "
            + $"00\n\t\tATSCtl:\tEnable{SampleFunction.Sign(ats)}, Smallest Translation Unit: 00\n";
        if (resources[0] != TreeBuilder.Empty && (config.Bytes[0x10] & 1) == 0)
        {
            capabilities += Resizable(config, resources[0]);
        }

        List<SampleFunction> vfs = [];
        string[] vfLines = [.. Enumerable.Repeat(TreeBuilder.Empty, 6)];
        if (_random.Next(2) == 0)
        {
            capabilities += Sriov(config, address, above, vfLines, vfs);
        }

        Add(new SampleFunction(address, above, config.Bytes, [.. resources, rom, .. vfLines], Header(0x0200), regions.ToString(), capabilities));
        vfs.ForEach(Add);
    }

    private static string Resizable(ConfigBuilder config, string line)
    {
        ulong size = Convert.ToUInt64(line[21..37], 16) - Convert.ToUInt64(line[2..18], 16) + 1;
        if (size < Mebibyte)
        {
            return "";
        }

        int power = System.Numerics.BitOperations.Log2(size) - 20;
        int place = config.NextExtended;
        config.Extended(0x15, 7u << (power + 4), 0 | 1 << 5 | (uint)power << 8);
        string sizes = string.Join(' ', Enumerable.Range(power, 3).Select(static p => p < 10 ? $"{1 << p}MB" : $"{1 << (p - 10)}GB"));
        return $"\tCapabilities: [{place:x} v1] Physical Resizable BAR\n\t\tBAR 0: current size: {sizes.Split(' ')[0]}, supported: {sizes}\n";
    }

    private string Sriov(ConfigBuilder config, string address, string above, string[] lines, List<SampleFunction> vfs)
    {
        const int Total = 8;
        ulong size = Mebibyte << _random.Next(3);
        ulong at = Take(ref _high, size * Total);
        int enabled = _random.Next(1, 4);
        int place = config.NextExtended;
        config.Extended(0x10, 0, 9, Total << 16 | Total, (uint)enabled, 1u << 16 | 8, 0xABCDu << 16, 1, 1, (uint)at | 0xC, (uint)(at >> 32), 0, 0, 0, 0);
        lines[0] = TreeBuilder.Line(at, size * Total, 0x14220c);
        for (int i = 0; i < enabled; i++)
        {
            ulong own = at + (ulong)i * size;
            byte[] registers = new ConfigBuilder(4096, 0xFFFF, 0xFFFF).U16(4, 4).Express(HostPortType.Endpoint).Extended(0x0E, 0).Bytes;
            string line = $"\tRegion 0: Memory at {own:x} (64-bit, prefetchable) [virtual] [size={ByteSize.Format(size)}]\n";
            string vfAddress = $"{address[..8]}01.{i}";
            vfs.Add(new SampleFunction(
                vfAddress, above, registers, TreeBuilder.Lines(TreeBuilder.Line(own, size, 0x14220c)), Header(0x0200, 0x1234, 0xABCD), line,
                "\tCapabilities: [40] Express (v2) Endpoint, MSI 00\n\tCapabilities: [100 v1] Alternative Routing-ID Interpretation (ARI)\n")
            {
                Ids = (0x1234, 0xABCD),
                PhysicalFunction = address,
            });
        }

        return $"\tCapabilities: [{place:x} v1] Single Root I/O Virtualization (SR-IOV)\n\t\tIOVCap:\tMigration-, Interrupt Message Number: "
            + "000\n\t\tIOVCtl:\tEnable+ MSE+\n"
            + $"\t\tInitial VFs: {Total}, Total VFs: {Total}, Number of VFs: {enabled}, Function Dependency Link: 00\n\t\tVF offset: 8, stride: 1, Device "
            + "ID: abcd\n"
            + $"\t\tRegion 0: Memory at {at:x16} (64-bit, prefetchable)\n";
    }

    /// <summary>One BAR of a random kind, now and then without an address; returns how many registers it takes.</summary>
    private int Bar(ConfigBuilder config, List<string> resources, StringBuilder regions, int index)
    {
        int kind = _random.Next(index < 5 ? 4 : 2);
        bool assigned = _random.Next(6) != 0;
        ulong size = kind == 0 ? 32UL << _random.Next(4) : 4096UL << _random.Next(14);
        ulong at = !assigned ? 0 : kind switch { 0 => Take(ref _ports, size), 1 or 2 => Take(ref _low, size), _ => Take(ref _high, size) };
        (uint bits, ulong flags, string type) = kind switch
        {
            0 => (1u, 0x40101UL, "I/O ports"),
            1 => (0u, 0x40200UL, "32-bit, non-prefetchable"),
            2 => (4u, 0x140204UL, "64-bit, non-prefetchable"),
            _ => (0xCu, 0x14220CUL, "64-bit, prefetchable"),
        };
        config.U32(0x10 + 4 * index, (uint)at | bits);
        const ulong Unset = 0x2000_0000;
        resources.Add(assigned ? TreeBuilder.Line(at, size, flags) : TreeBuilder.Line(0, size, flags | Unset));
        string place = assigned ? at.ToString("x", CultureInfo.InvariantCulture) : "<unassigned>";
        regions.Append(CultureInfo.InvariantCulture,
            $"\tRegion {index}: {(kind == 0 ? $"I/O ports at {place}" : $"Memory at {place} ({type})")} [size={ByteSize.Format(size)}]\n");
        if (kind < 2)
        {
            return 1;
        }

        config.U32(0x14 + 4 * index, (uint)(at >> 32));
        resources.Add(TreeBuilder.Empty);
        return 2;
    }

    private void Ide() => Add(new SampleFunction(
        "0000:00:18.1", "pci0000:00", new ConfigBuilder(classCode: 0x010180).Bar32(4, 0xC101).Bytes,
        TreeBuilder.Lines(TreeBuilder.Line(0x1F0, 8, 0x110), TreeBuilder.Line(0x3F6, 1, 0x110), TreeBuilder.Line(0x170, 8, 0x110),
            TreeBuilder.Line(0x376, 1, 0x110), TreeBuilder.Line(0xC100, 16, 0x40101)),
        Header(0x0101, progIf: 0x80),
        _random.Next(2) == 0
            ? "\tRegion 0: [virtual] Memory at 000001f0 (32-bit, non-prefetchable) [size=8]\n\tRegion 1: [virtual] Memory at 000003f0 (type 3, "
                + "non-prefetchable)\n"
                + "\tRegion 2: [virtual] Memory at 00000170 (32-bit, non-prefetchable) [size=8]\n\tRegion 3: [virtual] Memory at 00000370 (type 3, "
                + "non-prefetchable)\n"
                + "\tRegion 4: I/O ports at c100 [size=16]\n"
            : "\tRegion 0: I/O ports at 01f0 [size=8]\n\tRegion 1: I/O ports at 03f4 [size=1]\n\tRegion 2: I/O ports at 0170 [size=8]\n\tRegion 3: I/O ports "
                + "at 0374 [size=1]\n"
                + "\tRegion 4: I/O ports at c100 [size=16]\n",
        ""));

    private void Phantom() => Add(new SampleFunction(
        "0000:00:19.3", "pci0000:00", new ConfigBuilder(classCode: 0x088000).U16(4, 0).Bar32(0, 0x1D).Bytes, TreeBuilder.Lines(), Header(0x0880), "", ""));

    /// <summary>BAR 0 fixed at 0x843000000000, 1 GiB.</summary>
    private void Allocated() => Add(new SampleFunction(
        "0000:00:1a.0", "pci0000:00",
        new ConfigBuilder().Capability(0x14, 1, 0x0004, 0x80FF, 2, 0, 0xFFFE, 0x3FFF, 0x8430, 0).Bytes,
        TreeBuilder.Lines(TreeBuilder.Line(0x8430_0000_0000, 1 << 30, 0x230)), Header(0x0200),
        "\tRegion 0: [virtual] Memory at 843000000000 (32-bit, non-prefetchable) [size=1G]\n",
        "\tCapabilities: [40] Enhanced Allocation (EA): NumEntries=1\n\t\tEntry 0: Enable+ Writable- EntrySize=4\n\t\t\t BAR Equivalent Indicator: BAR 0\n"
        + "\t\t\t PrimaryProperties: memory space, non-prefetchable\n\t\t\t Base: 843000000000\n\t\t\t MaxOffset: 3fffffff\n"));

    private void Subtractive()
    {
        byte secondary = _bus++;
        ConfigBuilder config = ConfigBuilder.Bridge(secondary, secondary, HostPortType.RootPort, length: 64).U32(8, 0x06040101);
        byte[] bytes = new byte[256];
        config.Bytes.CopyTo(bytes, 0);
        string buses = $"\tBus: primary=00, secondary={secondary:x2}, subordinate={secondary:x2}, sec-latency=0\n\tI/O behind bridge: 0000f000-00000fff "
            + "[disabled] [16-bit]\n"
            + Window("Memory", 0, 0, 8) + Window("Prefetchable memory", 0, 0, 16);
        Add(new SampleFunction("0000:00:1e.0", "pci0000:00", bytes, TreeBuilder.Lines(), Header(0x0604, progIf: 1), buses, ""));
        byte[] behind = new ConfigBuilder(256).Bar32(2, 0x3401).Bytes;
        Add(new SampleFunction($"0000:{secondary:x2}:00.0", "pci0000:00/0000:00:1e.0", behind,
            TreeBuilder.Lines(TreeBuilder.Empty, TreeBuilder.Empty, TreeBuilder.Line(0x3400, 128, 0x40101)), Header(0x0200),
            "\tRegion 2: I/O ports at 3400 [size=128]\n", ""));
    }

    private void CardBus()
    {
        byte secondary = _bus++;
        byte[] config = new byte[128];
        new ConfigBuilder(64, classCode: 0x060700, header: 2).U8(0x19, secondary).U8(0x1A, secondary).U32(0x1C, 0x8800_0000).U32(0x20, 0x8BFF_F000)
            .U32(0x24, 0x8C00_0000).U32(0x28, 0x8FFF_F000).U32(0x2C, 0xFC00).U32(0x30, 0xFCFC).U32(0x34, 0).U32(0x38, 0)
            .U16(0x3E, 0x100).Bytes.CopyTo(config, 0);
        Add(new SampleFunction("0000:00:1b.0", "pci0000:00", config, TreeBuilder.Lines(), Header(0x0607),
            $"\tBus: primary=00, secondary={secondary:x2}, subordinate={secondary:x2}, sec-latency=0\n\tMemory window 0: 88000000-8bfff000 (prefetchable)\n"
            + "\tMemory window 1: 8c000000-8ffff000\n\tI/O window 0: 0000fc00-0000fcff\n\tI/O window 1: 00000000-00000003\n", ""));
    }

    private static ulong Take(ref ulong cursor, ulong size)
    {
        ulong at = Up(cursor, size);
        cursor = at + size;
        return at;
    }

    private static ulong Up(ulong value, ulong granule) => (value + granule - 1) & ~(granule - 1);
}
