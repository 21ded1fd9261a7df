using System.Formats.Tar;
using System.IO.Compression;
using System.Text;
using Aperture.Host.Model;
using Aperture.TestKit.Parts.Hosts;

namespace Aperture.Host.Tests;

public class ArchiveTests
{
    private static readonly string Config = Archive.Text(new ConfigBuilder(64).Bytes);

    private static byte[] Good(params (TarEntryType Type, string Name, string Content)[] more) => Archive.Make(
    [
        (TarEntryType.Directory, "m/sys/bus/pci/devices", ""),
        (TarEntryType.RegularFile, "m/sys/devices/pci0000:00/0000:00:02.0/config", Config),
        (TarEntryType.SymbolicLink, "m/sys/bus/pci/devices/0000:00:02.0", "../../../devices/pci0000:00/0000:00:02.0"),
        .. more,
    ]);

    [Fact]
    public void A_plain_and_a_gzipped_archive_are_read()
    {
        byte[] plain = Good();
        Assert.Single(Archive.Read(plain).Functions);
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            gzip.Write(plain);
        }

        HostMachine machine = Archive.Read(packed.ToArray());
        Assert.Single(machine.Functions);
        Assert.Equal(HostOriginKind.CapturedArchive, machine.Origin.Kind);
        Assert.False(machine.KnowsIommuGroups);
    }

    [Fact]
    public void A_bzip2_archive_is_read_in_one_stream_or_several()
    {
        byte[] plain = Good();
        Assert.Single(Archive.Read(Bzip2(plain)).Functions);
        Assert.Single(Archive.Read([.. Bzip2(plain[..1000]), .. Bzip2(plain[1000..])]).Functions);
    }

    [Fact]
    public void A_compressed_dump_is_read_as_a_dump()
    {
        byte[] text = Encoding.ASCII.GetBytes(Say.Dump("00:02.0", new ConfigBuilder(64).Bytes));
        Assert.Equal(HostOriginKind.LspciDump, Archive.Read(Bzip2(text)).Origin.Kind);
    }

    [Theory]
    [InlineData("../../../etc/passwd")]
    [InlineData("m/sys/../../../x/config")]
    public void Names_that_climb_out_are_refused(string name) =>
        Assert.Contains("climbs out", Say.Refusal(() => Archive.Read(Good((TarEntryType.RegularFile, name, "x")))));

    [Fact]
    public void A_hard_link_that_climbs_out_is_refused() =>
        Assert.Contains("climbs out", Say.Refusal(() => Archive.Read(Good((TarEntryType.HardLink, "m/sys/config", "../../etc/shadow")))));

    [Fact]
    public void A_link_to_a_file_of_this_machine_leads_nowhere()
    {
        byte[] archive = Good((TarEntryType.SymbolicLink, "m/sys/bus/pci/devices/0000:00:03.0", "/sys/bus/pci/devices"));
        Assert.Contains("leads nowhere", Say.Refusal(() => Archive.Read(archive)));
    }

    [Fact]
    public void A_link_that_starts_with_a_slash_starts_at_the_archives_top()
    {
        byte[] archive = Good(
            (TarEntryType.RegularFile, "m/sys/devices/pci0000:00/0000:00:03.0/config", Config),
            (TarEntryType.SymbolicLink, "m/sys/bus/pci/devices/0000:00:03.0", "/../m/sys/devices/pci0000:00/0000:00:03.0"));
        Assert.Equal(2, Archive.Read(archive).Functions.Length);
    }

    [Fact]
    public void Links_in_circles_are_refused()
    {
        byte[] archive = Good(
            (TarEntryType.SymbolicLink, "m/sys/bus/pci/devices/0000:00:03.0", "../devices/0000:00:04.0"),
            (TarEntryType.SymbolicLink, "m/sys/bus/pci/devices/0000:00:04.0", "../devices/0000:00:03.0"));
        Assert.Contains("circles", Say.Refusal(() => Archive.Read(archive)));
    }

    [Fact]
    public void A_huge_resource_line_is_refused_by_its_header()
    {
        byte[] archive = Good();

        // 10 GiB in the size field, octal, of the config entry (the second); the checksum field follows it.
        int header = 512;
        Encoding.ASCII.GetBytes("120000000000").CopyTo(archive, header + 124);
        Array.Fill(archive, (byte)' ', header + 148, 8);
        int sum = archive.AsSpan(header, 512).ToArray().Sum(static b => b);
        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(archive, header + 148);
        Assert.Contains("10737418240", Say.Refusal(() => Archive.Read(archive)));
    }

    [Fact]
    public void A_long_name_of_gigabytes_is_refused_before_it_is_allocated()
    {
        byte[] archive = Good();
        archive[156] = (byte)'L';
        Encoding.ASCII.GetBytes("17777777777\0").CopyTo(archive, 124);
        Array.Fill(archive, (byte)' ', 148, 8);
        int sum = archive.AsSpan(0, 512).ToArray().Sum(static b => b);
        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(archive, 148);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("claims a name", Say.Refusal(() => Archive.Read(archive)));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 16 << 20, "the name was allocated");
    }

    [Fact]
    public void A_bomb_ends_at_the_bound()
    {
        // 2 GiB of zeros behind one header pack into 2 MiB.
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest, leaveOpen: true))
        {
            byte[] archive = Good((TarEntryType.RegularFile, "m/proc/bomb", ""));
            int header = archive.Length - 1024 - 512;
            Encoding.ASCII.GetBytes("20000000000\0").CopyTo(archive, header + 124);
            Array.Fill(archive, (byte)' ', header + 148, 8);
            int sum = archive.AsSpan(header, 512).ToArray().Sum(static b => b);
            Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0') + "\0 ").CopyTo(archive, header + 148);
            gzip.Write(archive.AsSpan(0, header + 512));
            byte[] zeros = new byte[1 << 20];
            for (int i = 0; i < 2048; i++)
            {
                gzip.Write(zeros);
            }
        }

        Assert.Contains("unpacks to more than 512M", Say.Refusal(() => Archive.Read(packed.ToArray())));
    }

    [Fact]
    public void An_archive_cut_off_anywhere_is_refused()
    {
        byte[] archive = Good((TarEntryType.RegularFile, "m/sys/devices/pci0000:00/0000:00:02.0/class", "0x020000\n"));
        for (int length = 512; length < archive.Length - 1024; length += 100)
        {
            Say.Refusal(() => Archive.Read(archive[..length]));
        }

        for (int entries = 1; entries < 5; entries++)
        {
            Say.Refusal(() => Archive.Read(archive[..(512 * entries)]));
        }
    }

    [Theory]
    [InlineData(new byte[] { 0xFD, 0x37, 0x7A, 0x58, 0x5A, 0, 1, 2 }, "xz -d")]
    [InlineData(new byte[] { 0x28, 0xB5, 0x2F, 0xFD, 1, 2 }, "zstd -d")]
    [InlineData(new byte[] { 0x1F, 0x8B, 8, 0, 0 }, "capture.tar")]
    [InlineData(new byte[] { 0x42, 0x5A, 0x68, 0x39, 0, 0 }, "capture.tar")]
    public void Other_compressions_and_damaged_ones_are_refused(byte[] content, string words) =>
        Assert.Contains(words, Say.Refusal(() => Archive.Read(content)));

    private static byte[] Bzip2(byte[] content)
    {
        using MemoryStream packed = new();
        using (ICSharpCode.SharpZipLib.BZip2.BZip2OutputStream stream = new(packed) { IsStreamOwner = false })
        {
            stream.Write(content, 0, content.Length);
        }

        return packed.ToArray();
    }
}
