using System.Buffers.Binary;
using System.Text;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.X86;
using Aperture.Firmware.Memory;
using Aperture.TestKit.Parts.Kernels;

namespace Aperture.Firmware.Tests.Boot;

/// <summary>Kernels with a Multiboot header: which are read, where they go, and what they are told.</summary>
public class MultibootImageTests
{
    private const int HeaderAt = SyntheticKernels.MultibootHeaderAt;
    private const uint AddressFields = 1 << 16;

    /// <summary>An ELF file whose header has address fields: 0x1000-0x1FFF of the file at 3 MiB, zeros up to 0x302800.</summary>
    internal static byte[] WithAddresses()
    {
        byte[] file = SyntheticKernels.Multiboot(wide: false, AddressFields);
        uint[] fields = [0x30_0000 + HeaderAt - 0x1000, 0x30_0000, 0x30_1000, 0x30_2800, 0x30_0040];
        for (int i = 0; i < fields.Length; i++)
        {
            SyntheticKernels.U32(file, HeaderAt + 12 + (4 * i), fields[i]);
        }

        return file;
    }

    /// <summary>The file with the header's checksum made right for its flags.</summary>
    internal static byte[] Summed(byte[] file)
    {
        SyntheticKernels.MultibootHeader(file, HeaderAt, U32(file, HeaderAt + 4));
        return file;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_ELF_headers_say_what_is_loaded_and_the_entry_is_where_it_is_in_memory(bool wide)
    {
        using TemporaryFile file = new(SyntheticKernels.Multiboot(wide));
        using KernelImage image = KernelImage.Open(file.Path);
        MultibootImage kernel = Assert.IsType<MultibootImage>(image);
        Assert.Equal(0x10_0010UL, kernel.Entry.Value);
        Assert.Equal(
            [
                new ElfSegment(new GuestAddress(0x10_0000), 0x1000, 0x1000, 0x1000),
                new ElfSegment(new GuestAddress(0x20_0000), 0x2000, 0x800, 0x5000),
            ],
            kernel.Segments);
    }

    [Fact]
    public void Address_fields_win_over_the_ELF_headers()
    {
        using TemporaryFile file = new(WithAddresses());
        using KernelImage image = KernelImage.Open(file.Path);
        MultibootImage kernel = Assert.IsType<MultibootImage>(image);
        Assert.Equal(0x30_0040UL, kernel.Entry.Value);
        Assert.Equal([new ElfSegment(new GuestAddress(0x30_0000), 0x1000, 0x1000, 0x2800)], kernel.Segments);
    }

    [Fact]
    public void Without_an_end_the_whole_file_is_loaded()
    {
        byte[] bytes = WithAddresses();
        SyntheticKernels.U32(bytes, HeaderAt + 20, 0);
        SyntheticKernels.U32(bytes, HeaderAt + 24, 0);
        using TemporaryFile file = new(bytes);
        using KernelImage image = KernelImage.Open(file.Path);
        Assert.Equal([new ElfSegment(new GuestAddress(0x30_0000), 0x1000, 0x2000, 0x2000)], Assert.IsType<MultibootImage>(image).Segments);
    }

    [Fact]
    public void A_kernel_with_a_PVH_note_stays_one_whatever_else_it_has()
    {
        byte[] bytes = SyntheticKernels.Elf(wide: true);
        SyntheticKernels.MultibootHeader(bytes, HeaderAt, 0);
        using TemporaryFile file = new(bytes);
        using KernelImage image = KernelImage.Open(file.Path);
        Assert.IsType<ElfImage>(image);
    }

    [Theory]
    [InlineData(8192 - 12, true)]
    [InlineData(8192 - 8, false)]
    [InlineData(0x1022, false)]
    [InlineData(8192, false)]
    public void The_header_lies_aligned_in_the_first_8_KiB(int at, bool found)
    {
        byte[] bytes = SyntheticKernels.Multiboot(wide: true);
        bytes.AsSpan(HeaderAt, 12).Clear();
        SyntheticKernels.MultibootHeader(bytes, at, 0);
        using TemporaryFile file = new(bytes);
        if (found)
        {
            using KernelImage image = KernelImage.Open(file.Path);
            Assert.IsType<MultibootImage>(image);
        }
        else
        {
            Refused(bytes, "no Multiboot header");
        }
    }

    [Fact]
    public void A_wrong_checksum_is_no_header()
    {
        byte[] bytes = SyntheticKernels.Multiboot(wide: true);
        bytes[HeaderAt + 8]++;
        Refused(bytes, "no Multiboot header");
    }

    public static TheoryData<string, int, uint, string> AddressFaults => new()
    {
        { "video", 4, 1 << 2, "video mode" },
        { "unknown flag", 4, 1 << 7, "flags 0x80" },
        { "loaded behind the header", 16, 0x30_0024, "cannot be at" },
        { "begins before the file", 12, 0x30_2000, "cannot be at" },
        { "ends before it begins", 20, 0x2F_0000, "do not fit" },
        { "empty", 20, 0x30_0000, "do not fit" },
        { "longer than the file", 20, 0x30_2001, "do not fit" },
        { "zeros end in the content", 24, 0x30_0800, "do not fit" },
        { "zeros end before it begins", 24, 0x10, "do not fit" },
        { "entry outside", 28, 0x30_2800, "lies in nothing" },
        { "entry before", 28, 0, "lies in nothing" },
    };

    [Theory]
    [MemberData(nameof(AddressFaults))]
    public void A_header_that_cannot_be_followed_is_refused_in_one_sentence(string fault, int at, uint value, string expected)
    {
        Assert.NotEmpty(fault);
        byte[] bytes = WithAddresses();
        SyntheticKernels.U32(bytes, HeaderAt + at, value);
        Refused(Summed(bytes), expected);
    }

    [Fact]
    public void An_entry_that_is_not_loaded_is_refused()
    {
        byte[] bytes = SyntheticKernels.Multiboot(wide: true);
        SyntheticKernels.U64(bytes, 24, 0x7000_0000);
        Refused(bytes, "entry 0x70000000 lies in no loaded segment");
    }

    [Fact]
    public void The_information_tells_memory_command_line_module_map_and_loader()
    {
        using TemporaryFile file = new(SyntheticKernels.Multiboot(wide: false));
        using TemporaryFile module = new(new byte[3001]);
        using KernelImage kernel = KernelImage.Open(file.Path);
        using BootFile initramfs = BootFile.Open(module.Path, "initramfs");
        BootRequest request = new() { MemoryMap = BootPlanTests.Map(0x1_0000_0000), CommandLine = "a b", Initramfs = initramfs };
        BootPlan plan = LinuxBoot.Plan(kernel, request);
        BootPlanTests.AssertSound(plan, request);
        Assert.Equal(BootMode.Multiboot32, plan.Entry.Mode);
        Assert.Equal(0x10_0010UL, plan.Entry.InstructionPointer.Value);

        byte[] info = Content(plan, "Multiboot information");
        uint at = (uint)plan.Entry.BootInformation.Value;
        Assert.Equal(0b10_0100_1101u, U32(info, 0));
        Assert.Equal(639u, U32(info, 4));
        Assert.Equal((0x8000_0000u - 0x4000 - 0x10_0000) >> 10, U32(info, 8));
        Assert.Equal(plan.Segments.Single(s => s.Name == "command line").Address.Value, U32(info, 16));
        Assert.Equal($"{Path.GetFileName(file.Path)} a b\0", Encoding.UTF8.GetString(Content(plan, "command line")));

        BootSegment loaded = plan.Segments.Single(s => s.Name == "initramfs");
        Assert.Equal(1u, U32(info, 20));
        int entry = (int)(U32(info, 24) - at);
        Assert.Equal(((uint)loaded.Address.Value, (uint)loaded.Address.Value + 3001), (U32(info, entry), U32(info, entry + 4)));
        Assert.True(loaded.Address.IsAligned(4096));
        Assert.Equal(0, info[U32(info, entry + 8) - at]);
        Assert.Equal(0u, U32(info, entry + 12));
        Assert.Equal(request.MemoryMap, Ranges(info, (int)(U32(info, 48) - at), (int)U32(info, 44)));
        Assert.Equal("Aperture\0"u8.ToArray(), info[(int)(U32(info, 64) - at)..]);
    }

    [Fact]
    public void Without_an_initramfs_there_is_no_module_and_without_a_command_line_only_the_name()
    {
        using TemporaryFile file = new(SyntheticKernels.Multiboot(wide: true));
        using KernelImage kernel = KernelImage.Open(file.Path);
        BootPlan plan = LinuxBoot.Plan(kernel, new BootRequest { MemoryMap = BootPlanTests.Map(0x1000_0000) });
        byte[] info = Content(plan, "Multiboot information");
        Assert.Equal((0u, 0u), (U32(info, 20), U32(info, 24)));
        Assert.Equal(Path.GetFileName(file.Path) + "\0", Encoding.UTF8.GetString(Content(plan, "command line")));
    }

    // As a kernel walks it: each entry says how far the next one is behind its size field.
    private static List<MemoryMapEntry> Ranges(byte[] info, int at, int length)
    {
        List<MemoryMapEntry> ranges = [];
        for (int end = at + length; at < end; at += (int)U32(info, at) + 4)
        {
            ulong start = BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(at + 4));
            ulong size = BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(at + 12));
            ranges.Add(new MemoryMapEntry(new AddressRange(new GuestAddress(start), size), (MemoryKind)U32(info, at + 20)));
        }

        return ranges;
    }

    private static byte[] Content(BootPlan plan, string name)
    {
        BootSegment segment = plan.Segments.Single(s => s.Name == name);
        byte[] bytes = new byte[segment.Length];
        segment.Read(0, bytes);
        return bytes;
    }

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static void Refused(byte[] bytes, string expected)
    {
        using TemporaryFile file = new(bytes);
        ApertureException fault = Assert.Throws<ApertureException>(() => KernelImage.Open(file.Path));
        Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
        Assert.Contains(expected, fault.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', fault.Message);
    }
}
