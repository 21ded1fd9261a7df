using System.Runtime.Versioning;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.X86;
using Aperture.TestKit.Parts.Kernels;

namespace Aperture.Firmware.Tests.Boot;

public class KernelImageTests
{
    [Fact]
    public void A_bzImage_gives_its_header_and_the_place_of_its_payload()
    {
        using TemporaryFile file = new([.. SyntheticKernels.BzImage(), .. "a signature behind it"u8]);
        using KernelImage image = KernelImage.Open(file.Path);
        BzImage kernel = Assert.IsType<BzImage>(image);
        Assert.Equal(0x020F, kernel.Protocol);
        Assert.Equal(0x7FFF_FFFFUL, kernel.InitrdAddressMax.Value);
        Assert.Equal(0x20_0000u, kernel.Alignment);
        Assert.True(kernel.IsRelocatable);
        Assert.Equal(2047u, kernel.CommandLineSize);
        Assert.Equal(0x100_0000UL, kernel.PreferredAddress.Value);
        Assert.Equal(0x80_0000u, kernel.InitSize);
        Assert.Equal(5UL * 512, kernel.PayloadOffset);
        Assert.Equal(8192UL, kernel.PayloadLength);
    }

    [Fact]
    public void No_setup_sectors_means_four()
    {
        byte[] bytes = SyntheticKernels.BzImage();
        bytes[0x1F1] = 0;
        using TemporaryFile file = new(bytes);
        using KernelImage image = KernelImage.Open(file.Path);
        Assert.Equal(5UL * 512, Assert.IsType<BzImage>(image).PayloadOffset);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_ELF_kernel_gives_its_loaded_parts_by_address_and_its_PVH_entry(bool wide)
    {
        using TemporaryFile file = new(SyntheticKernels.Elf(wide));
        using KernelImage image = KernelImage.Open(file.Path);
        ElfImage kernel = Assert.IsType<ElfImage>(image);
        Assert.Equal(SyntheticKernels.PvhEntry, kernel.PvhEntry.Value);
        Assert.Equal(
            [
                new ElfSegment(new GuestAddress(0x10_0000), 0x1000, 0x1000, 0x1000),
                new ElfSegment(new GuestAddress(0x20_0000), 0x2000, 0x800, 0x5000),
            ],
            kernel.Segments);
    }

    public static TheoryData<string, int, byte[], string> BzImageFaults => new()
    {
        { "boot flag", 0x1FE, [0, 0], "no 0xAA55" },
        { "old protocol", 0x206, [0x0B, 0x02], "boot protocol 2.11" },
        { "32-bit", 0x236, [0, 0], "no 64-bit entry" },
        { "low", 0x211, [0], "below 1 MiB" },
        { "short header", 0x201, [0x10], "claims to end at 0x212" },
        { "alignment", 0x230, [3, 0, 0, 0], "not a power of two" },
        { "size", 0x1F4, [0xFF, 0xFF, 0xFF, 0xFF], "is truncated" },
        { "nothing", 0x1F4, [0, 0, 0, 0], "is truncated" },
        { "setup past the end", 0x1F1, [64], "is truncated" },
    };

    [Theory]
    [MemberData(nameof(BzImageFaults))]
    public void A_damaged_bzImage_is_named_with_what_is_wrong(string fault, int at, byte[] bytes, string expected) =>
        AssertRefused(SyntheticKernels.BzImage(), fault, at, bytes, expected);

    [Theory]
    [InlineData(0x206, 0x07, 0x02)]
    [InlineData(0x236, 0, 0)]
    public void Firmware_starts_kernels_with_an_older_protocol_or_without_a_64_bit_entry(int at, byte low, byte high)
    {
        byte[] bytes = SyntheticKernels.BzImage();
        (bytes[at], bytes[at + 1]) = (low, high);
        using TemporaryFile scratch = new([]);
        string path = scratch.Path;
        File.WriteAllBytes(path, bytes);
        Assert.Throws<ApertureException>(() => KernelImage.Open(path));
        using KernelImage kernel = KernelImage.Open(path, byFirmware: true);
        Assert.Equal(5u * 512, Assert.IsType<BzImage>(kernel).PayloadOffset);
        bytes[0x206] = 0x03;
        File.WriteAllBytes(path, bytes);
        AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open(path, byFirmware: true)), path, "2.04 or newer");
    }

    public static TheoryData<string, int, byte[], string> ElfFaults => new()
    {
        { "class", 4, [3], "neither 32 nor 64" },
        { "big-endian", 5, [2], "little-endian" },
        { "shared object", 16, [3, 0], "type 3" },
        { "another machine", 18, [183, 0], "machine 183" },
        { "table outside", 32, [0, 0, 0, 0, 0, 0, 0, 0x80], "program headers end past" },
        { "many headers", 56, [0xFF, 0xFF], "has 65535 program headers" },
        { "table too long", 56, [0xFF, 0], "program headers end past" },
        { "small headers", 54, [8, 0], "8 bytes each" },
        { "no headers", 56, [0, 0], "nothing to load" },
        { "content outside", 64 + 32, [0, 0, 0, 0, 0, 0, 0, 0xFF], "a segment takes" },
        { "offset outside", 64 + 8, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "a segment takes" },
        { "less memory than content", 64 + 40, [1, 0, 0, 0, 0, 0, 0, 0], "in memory" },
        { "high", 64 + 24, [0, 0, 0, 0, 1, 0, 0, 0], "passes 4 GiB" },
        { "wrapping", 64 + 24, [0, 0xF0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "passes 4 GiB" },
        { "huge", 64 + 40, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], "passes 4 GiB" },
        { "overlap", 64 + 24, [0, 0x08, 0x10, 0, 0, 0, 0, 0], "overlap" },
        { "note outside", 64 + 56 + 32, [0, 0, 0, 0, 1, 0, 0, 0], "a segment takes" },
        { "note too long", 0x818, [0xFF, 0xFF, 0xFF, 0xFF], "passes the end of its segment" },
        { "note name too long", 0x814, [0xFF, 0xFF, 0xFF, 0xFF], "passes the end of its segment" },
        { "other owner", 0x820, [(byte)'Y'], "no PVH entry" },
        { "other note", 0x81C, [17], "no PVH entry" },
        { "entry outside", 0x824, [0, 0, 0, 0x70], "lies in no loaded segment" },
    };

    [Theory]
    [MemberData(nameof(ElfFaults))]
    public void A_damaged_ELF_kernel_is_named_with_what_is_wrong(string fault, int at, byte[] bytes, string expected) =>
        AssertRefused(SyntheticKernels.Elf(wide: true), fault, at, bytes, expected);

    [Fact]
    public void A_file_with_endless_notes_is_given_up()
    {
        byte[] bytes = SyntheticKernels.Elf(wide: true);
        Array.Resize(ref bytes, 0x20000);
        SyntheticKernels.U64(bytes, 64 + 56 + 8, 0x4000);
        SyntheticKernels.U64(bytes, 64 + 56 + 32, 0x1C000);
        AssertRefused(bytes, "notes", 0, [], "more than 4096 notes");
    }

    [Theory]
    [InlineData("1F8B08", "gzip")]
    [InlineData("FD377A585A00", "xz")]
    [InlineData("28B52FFD", "zstd")]
    [InlineData("425A6839", "bzip2")]
    [InlineData("00", "neither a bzImage")]
    [InlineData("7F454C46", "is truncated")]
    public void Other_files_are_told_apart(string hex, string expected) =>
        AssertRefused(Convert.FromHexString(hex), "kind", 0, [], expected);

    [Fact]
    public void Files_that_cannot_be_opened_give_one_sentence_each()
    {
        string missing = Path.Combine(Path.GetTempPath(), $"aperture-{Guid.NewGuid():N}");
        AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open(missing)), missing, "does not exist");
        AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open(Path.Combine(missing, "below"))), missing, "does not exist");
        string folder = Path.GetTempPath();
        AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open(folder)), folder, "is a directory");
        using TemporaryFile empty = new([]);
        AssertSentence(Assert.Throws<ApertureException>(() => BootFile.Open(empty.Path, "initramfs")), $"initramfs {empty.Path}", "is empty");
        AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open("a\0b")), "a\0b", "is not a file name");
        AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open("")), "''", "is not a file name");
    }

    [Fact]
    [UnsupportedOSPlatform("windows")]
    public void A_file_that_may_not_be_read_says_so()
    {
        using TemporaryFile file = new(SyntheticKernels.BzImage());
        File.SetUnixFileMode(file.Path, UnixFileMode.None);
        Unprivileged.Run(() => AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open(file.Path)), file.Path, "may not be read"));
    }

    [Fact]
    public void A_file_that_shrinks_after_it_was_opened_is_noticed_when_it_is_read()
    {
        using TemporaryFile file = new(SyntheticKernels.BzImage());
        using BootFile open = BootFile.Open(file.Path, "kernel");
        File.WriteAllBytes(file.Path, [1, 2, 3]);
        byte[] buffer = new byte[16];
        AssertSentence(Assert.Throws<ApertureException>(() => open.Read(0, buffer)), file.Path, "became shorter");
        AssertSentence(Assert.Throws<ApertureException>(() => open.Read(ulong.MaxValue, buffer)), file.Path, "ends at byte");
    }

    private static void AssertRefused(byte[] file, string fault, int at, byte[] bytes, string expected)
    {
        Assert.NotEmpty(fault);
        bytes.CopyTo(file, at);
        using TemporaryFile scratch = new(file);
        AssertSentence(Assert.Throws<ApertureException>(() => KernelImage.Open(scratch.Path)), scratch.Path, expected);
    }

    private static void AssertSentence(ApertureException fault, string name, string expected)
    {
        Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
        Assert.Contains(name, fault.Message, StringComparison.Ordinal);
        Assert.Contains(expected, fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', fault.Message);
    }
}
