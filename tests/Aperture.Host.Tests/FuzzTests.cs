using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using Aperture.Host.Analysis;
using Aperture.Host.Model;
using Aperture.Host.Reports;
using Aperture.TestKit.Parts.Hosts;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Host.Tests;

/// <summary>Whatever a file holds, reading it gives a machine whose parts fit together, or one sentence.</summary>
public class FuzzTests
{
    private const string Place = "m/sys/devices/pci0000:00/0000:00:01.0";

    /// <summary>A port, an endpoint with VFs, resizable BARs and access control, and a VF.</summary>
    private static readonly byte[][] Configs =
    [
        ConfigBuilder.Bridge(1, 2, HostPortType.RootPort, 0xE000_0000, 4 << 20, 0x40_0000_0000, 1UL << 36).Acs(0x1D).Bytes,
        new ConfigBuilder().Bar64(0, 0x40_0000_0000).Bar32(2, 0xE000_0000).Bar32(3, 0xC001).U32(0x30, 0xE010_0000).Express(HostPortType.Endpoint)
            .Acs(0).Extended(0x10, 0, 9, 4u << 16 | 4, 2, 2u << 16 | 0x80, 0xABCDu << 16, 1, 1, 0xC, 0x41, 0, 0, 0, 0)
            .Extended(0x15, 0xFF << 12, 0 | 1 << 5 | 8 << 8).Extended(0x0F, 0x8000_0000).Extended(0x0E, 0).Bytes,
        new ConfigBuilder(4096, 0xFFFF, 0xFFFF).Bytes,
    ];

    private static readonly string Resources = string.Concat(
        TreeBuilder.Lines(TreeBuilder.Line(0x40_0000_0000, 1UL << 30, 0x14220c), TreeBuilder.Empty, TreeBuilder.Line(0xE000_0000, 1 << 20, 0x40200))
            .Select(static line => line + "\n"));

    private static readonly string Details =
        "\tRegion 0: Memory at 4000000000 (64-bit, prefetchable) [size=1G]\n\tMemory at e0000000 (32-bit, non-prefetchable) [size=1M]\n"
        + "\tExpansion ROM at e0100000 [disabled] [size=64K]\n\tNUMA node: 1\n\tIOMMU group: 3\n\tKernel driver in use: x\n";

    // Headers and the starts of capabilities are where a changed byte matters; edges are the values that break arithmetic.
    private static Gen<(int At, byte Value)> Changes { get; } =
        from at in Gen.OneOf(Gen.Choose(0, 0x3F), Gen.Choose(0x40, 0x80), Gen.Choose(0x100, 0x1A0), Gen.Choose(0, 0xFFF))
        from value in Gen.OneOf(Gen.Choose(0, 255), Gen.Elements(0, 1, 2, 0x7F, 0x80, 0xF0, 0xFF))
        select (at, (byte)value);

    private static Gen<byte[]> MutantConfigs { get; } =
        from seed in Gen.Frequency((1, Gen.Constant(Configs[0])), (8, Gen.Elements(Configs[1..])))
        from changes in Changes.ListOf()
        from length in Gen.Frequency((30, Gen.Elements(64, 256, 4096)), (1, Gen.Elements(100, 0)))
        select Mutate(seed, changes.Take(6))[..length];

    private static Gen<string> Addresses { get; } =
        from domain in Gen.Elements("0000:", "", "10000:", "ffffffff:")
        from bus in Gen.Elements("00", "01", "02", "ff")
        from device in Gen.Elements("00", "01", "10", "1f")
        from function in Gen.Elements("0", "1", "7")
        select $"{domain}{bus}:{device}.{function}";

    private static Gen<string> Text(string seed, int most) =>
        from edits in (from at in Gen.Choose(0, most)
                       from cut in Gen.Choose(0, 20)
                       from put in Gen.Elements(
            "", "0", "-", "f", "0x", "\n", "\t", " ", ":", "]", "[size=", "??", "99999999999999999999")
                       select (at, cut, put)).ListOf()
        from rough in Gen.Frequency((6, Gen.Constant(0)), (1, Gen.Choose(1, 4)))
        select Edit(seed, edits.Take(rough));

    private static Gen<byte[]> Dumps { get; } =
        from functions in (from address in Addresses from config in MutantConfigs from details in Text(Details, 300) select (address, config, details)).ListOf()
        let whole = string.Concat(functions.DistinctBy(static f => f.address).Take(8)
            .Select(static f => f.config.Length % 16 == 0 ? Say.Dump(f.address, f.config, f.details) : $"{f.address} x\n00: 11 22\n\n"))
        from text in Text(whole, Math.Max(1, whole.Length))
        from cut in Gen.Frequency((8, Gen.Constant(int.MaxValue)), (1, Gen.Choose(0, Math.Max(1, whole.Length))))
        select Encoding.Latin1.GetBytes(text[..Math.Min(cut, text.Length)]);

    private static Gen<(TarEntryType Type, string Name, string Content)> Entries { get; } = Gen.Frequency(
        (12, from address in Addresses
             from config in MutantConfigs
             select (TarEntryType.RegularFile, $"m/sys/devices/pci0000:00/{Long(address)}/config", Archive.Text(config))),
        (1, from address in Addresses
            select (TarEntryType.SymbolicLink, $"m/sys/bus/pci/devices/{Long(address)}", $"../../../devices/pci0000:00/{Long(address)}")),
        (4, from text in Text(Resources, 900) select (TarEntryType.RegularFile, Place + "/resource", text)),
        (4, from name in Gen.Elements("vendor", "device", "class") from text in Text("0x1234\n", 8) select (TarEntryType.RegularFile, $"{Place}/{name}", text)),
        (4, from name in Gen.Elements("numa_node", "sriov_totalvfs", "sriov_numvfs")
            from text in Text("12\n", 3)
            select (TarEntryType.RegularFile, $"{Place}/{name}", text)),
        (4, from number in Gen.Frequency((20, Gen.Constant("3")), (1, Gen.Elements("-1", "x", "99999999999")))
            from text in Text("0x00000000fee00000 0x00000000feefffff msi\n", 45)
            select (TarEntryType.RegularFile, $"m/sys/kernel/iommu_groups/{number}/reserved_regions", text)),
        (4, from name in Gen.Elements("driver", "iommu_group", "physfn")
            from target in Gen.Elements("x/7", "../0000:00:01.0", "..", "/")
            select (TarEntryType.SymbolicLink, $"{Place}/{name}", target)),
        (1, from address in Addresses
            from target in Gen.Elements(
                "../../../devices/pci0000:00/0000:00:01.0", "0000:00:01.0", "../devices", "/", "/../..", "..", "loop", "../../../devices/pci0000:00")
            select (TarEntryType.SymbolicLink, $"m/sys/bus/pci/devices/{address}", target)),
        (1, from name in Gen.Elements(
            "../x", "m/../../x", "m/sys", "m/sys/devices/pci0000:00", Place, "/abs/sys/bus/pci/devices", "m/sys/bus/pci/devices/loop", "m")
            from type in Gen.Elements(TarEntryType.RegularFile, TarEntryType.SymbolicLink, TarEntryType.Directory, TarEntryType.HardLink, TarEntryType.Fifo)
            select (type, name, "m/sys/bus")));

    private static Gen<byte[]> Archives { get; } =
        from entries in Entries.ListOf()
        from changes in (from at in Gen.Choose(0, 12000) from value in Gen.Elements(0, 0x20, 0x37, 0x4C, 0x78, 0x80, 0xFF) select (at, (byte)value)).ListOf()
        from broken in Gen.Frequency((4, Gen.Constant(0)), (1, Gen.Choose(1, 6)))
        from fix in Gen.Elements(true, false)
        from cut in Gen.Frequency((8, Gen.Constant(int.MaxValue)), (1, Gen.Choose(0, 20000)))
        let archive = Archive.Make(
            [(TarEntryType.Directory, "m/sys/bus/pci/devices", ""), (TarEntryType.RegularFile, Place + "/config", Archive.Text(Configs[0])),
                .. entries.Take(12)])
        let mutant = Fix(Mutate(archive, changes.Take(broken)), fix)
        select mutant[..Math.Min(cut, mutant.Length)];

    private static Gen<byte[]> Packed { get; } =
        from archive in Archives
        from bzip2 in Gen.Elements(true, false)
        from changes in (from at in Gen.Choose(0, 2000) from value in Gen.Choose(0, 255) select (at, (byte)value)).ListOf()
        from cut in Gen.Frequency((6, Gen.Constant(int.MaxValue)), (1, Gen.Choose(0, 2000)))
        from broken in Gen.Frequency((1, Gen.Constant(0)), (2, Gen.Choose(1, 3)))
        let packed = Mutate(Pack(archive, bzip2), changes.Take(broken))
        select packed[..Math.Min(cut, packed.Length)];

    private static Gen<byte[]> Noise { get; } = Gen.Choose(0, 255).Select(static value => (byte)value).ArrayOf();

    [Fact]
    public void Mutated_dumps_give_a_sound_machine_or_one_sentence() => Run(Dumps, 2000);

    private static Gen<byte[]> Listings { get; } =
        from seed in Gen.Choose(1, 6)
        let whole = new SampleMachine(seed).Verbose()
        from edits in (from at in Gen.Choose(0, whole.Length)
                       from cut in Gen.Choose(0, 30)
                       from put in Gen.Elements("", "0", "-", "+", "f", "\n", "\t", "> ", ":", "]", "[size=", "99999999999999999999", "Capabilities: [",
                           "Region 0: Memory at ", "pcilib: ")
                       select (at, cut, put)).ListOf()
        from cutOff in Gen.Frequency((8, Gen.Constant(int.MaxValue)), (1, Gen.Choose(0, whole.Length)))
        let text = Edit(whole, edits.Take(12))
        select Encoding.Latin1.GetBytes(text[..Math.Min(cutOff, text.Length)]);

    [Fact]
    public void Mutated_listings_without_hex_give_a_sound_machine_or_one_sentence() => Run(Listings, 600);

    [Fact]
    public void Mutated_trees_give_a_sound_machine_or_one_sentence() => Run(Archives, 2000);

    [Fact]
    public void Damaged_archives_give_a_sound_machine_or_one_sentence() => Run(Gen.Frequency((9, Packed), (1, Noise)), 1500);

    public static TheoryData<string> Corpus =>
        [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "corpus")).Select(static path => Path.GetFileName(path)!)];

    [Theory]
    [MemberData(nameof(Corpus))]
    public void The_corpus_replays(string name)
    {
        string? refusal = Check(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "corpus", name)));
        Assert.Equal(name.StartsWith("good-", StringComparison.Ordinal), refusal is null);
    }

    private static void Run(Gen<byte[]> files, int count) =>
        Prop.ForAll(files.ToArbitrary(), bytes => { _ = Check(bytes); }).Holds(count);

    /// <summary>Reads a file; the refusal, or null when it was read and is sound.</summary>
    private static string? Check(byte[] bytes)
    {
        HostMachine machine;
        try
        {
            machine = HostReader.ReadStream(new MemoryStream(bytes), "file");
        }
        catch (ApertureException refusal)
        {
            Assert.Equal(ApertureException.ConfigurationError, refusal.ExitCode);
            Assert.DoesNotContain('\n', refusal.Message);
            Assert.StartsWith("file", refusal.Message, StringComparison.Ordinal);
            Assert.True(refusal.Message.Length < 600, refusal.Message);
            return refusal.Message;
        }

        AssertSound(machine);
        return null;
    }

    private static void AssertSound(HostMachine machine)
    {
        foreach (HostFunction function in machine.Functions)
        {
            // Children and parents agree, and every way up ends at a host bridge.
            Assert.All(function.Children, child => Assert.Equal(function.Address, machine.Find(child)!.Parent));
            Assert.True(function.Parent is not { } parent || machine.Find(parent)!.Children.Contains(function.Address));
            Assert.True(HostTopology.BridgesAbove(machine, function).Length <= 256);
            Assert.NotNull(HostTopology.HostBridgeOf(machine, function));
            Assert.All(function.AllBars, static bar => Assert.Equal(bar.Origin == SizeOrigin.Unknown, bar.Size == 0));
        }

        foreach (HostFunction from in machine.Functions.Take(6))
        {
            foreach (HostFunction to in machine.Functions.TakeLast(6))
            {
                P2pDistance there = HostTopology.Distance(machine, from.Address, to.Address);
                P2pDistance back = HostTopology.Distance(machine, to.Address, from.Address);
                Assert.Equal((there.Kind, there.Routing), (back.Kind, back.Routing));
            }
        }

        using StringWriter tree = new();
        HostReport.Write(tree, machine, new HostReportOptions());
        Assert.Equal(machine.Functions.Length, tree.ToString().Split('\n').Count(static line => PciAddress.TryParse(line.TrimStart().Split(' ')[0], out _)));
        HostReport.Write(TextWriter.Null, machine, new HostReportOptions(HostReportFormat.Table));
        HostJson.Write(Stream.Null, machine);
    }

    private static byte[] Mutate(byte[] seed, IEnumerable<(int At, byte Value)> changes)
    {
        byte[] bytes = [.. seed];
        foreach ((int at, byte value) in changes)
        {
            if (at < bytes.Length)
            {
                bytes[at] = value;
            }
        }

        return bytes;
    }

    /// <summary>Makes every header's checksum right again, so that what was changed behind it is looked at.</summary>
    private static byte[] Fix(byte[] archive, bool fix)
    {
        for (int at = 0; fix && at + 512 <= archive.Length; at += 512)
        {
            Span<byte> header = archive.AsSpan(at, 512);
            if (header.Slice(257, 5).SequenceEqual("ustar"u8))
            {
                header.Slice(148, 8).Fill((byte)' ');
                int sum = 0;
                foreach (byte b in header)
                {
                    sum += b;
                }

                Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(header[148..]);
            }
        }

        return archive;
    }

    /// <summary>An address as sysfs writes it.</summary>
    private static string Long(string address) => Say.Address(address).ToString();

    private static string Edit(string seed, IEnumerable<(int At, int Cut, string Put)> edits)
    {
        string text = seed;
        foreach ((int at, int cut, string put) in edits)
        {
            int start = Math.Min(at, text.Length);
            text = text[..start] + put + text[Math.Min(text.Length, start + cut)..];
        }

        return text;
    }

    private static byte[] Pack(byte[] content, bool bzip2)
    {
        using MemoryStream packed = new();
        using (Stream stream = bzip2
            ? new ICSharpCode.SharpZipLib.BZip2.BZip2OutputStream(packed, 1) { IsStreamOwner = false }
            : new GZipStream(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            stream.Write(content, 0, content.Length);
        }

        return packed.ToArray();
    }
}
