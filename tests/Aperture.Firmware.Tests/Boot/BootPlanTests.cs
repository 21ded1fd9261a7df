using System.Buffers.Binary;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.X86;
using Aperture.Firmware.Memory;
using Aperture.TestKit.Parts.Kernels;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Boot;

public class BootPlanTests
{
    /// <summary>RAM of the given size, split at 2 GiB, with the usual holes and an ACPI area at the end of low RAM.</summary>
    internal static IReadOnlyList<MemoryMapEntry> Map(ulong ram)
    {
        ulong low = Math.Min(ram, 0x8000_0000);
        List<AddressRange> ranges = [Acpi.SamplePlatforms.Range(0, low)];
        if (ram > low)
        {
            ranges.Add(Acpi.SamplePlatforms.Range(1UL << 32, ram - low));
        }

        return MemoryMap.Build(
            ranges,
            [
                new MemoryMapEntry(MemoryMap.ExtendedBiosData, MemoryKind.Reserved),
                new MemoryMapEntry(MemoryMap.LegacyHole, MemoryKind.Reserved),
                new MemoryMapEntry(Acpi.SamplePlatforms.Range(low - 0x4000, 0x4000), MemoryKind.AcpiData),
            ]);
    }

    /// <summary>Every segment lies in RAM and apart from the others; the entry and its tables lie in segments.</summary>
    internal static void AssertSound(BootPlan plan, BootRequest request)
    {
        for (int i = 0; i < plan.Segments.Count; i++)
        {
            AddressRange range = plan.Segments[i].Range;
            Assert.Contains(request.MemoryMap, entry => entry.Kind == MemoryKind.Ram && entry.Range.Contains(range));
            Assert.DoesNotContain(plan.Segments.Skip(i + 1), other => other.Range.Overlaps(range));
        }

        Assert.Contains(plan.Segments, segment => segment.Name == "kernel" && segment.Range.Contains(plan.Entry.InstructionPointer));
        Assert.Contains(plan.Segments, segment => segment.Address == plan.Entry.BootInformation);
        Assert.Contains(plan.Segments, segment => segment.Range == plan.Entry.Gdt);
        Assert.Equal(
            plan.Entry.Mode == BootMode.Long64,
            plan.Segments.Any(segment => segment.Name == "page tables" && segment.Address == plan.Entry.PageTables));
        Assert.Equal(request.Initramfs is not null, plan.Segments.Any(static segment => segment.Name == "initramfs"));
    }

    [Fact]
    public void A_bzImage_goes_where_it_asks_its_initramfs_right_below_the_ACPI_area_and_the_zero_page_says_so()
    {
        using Setup setup = new(SyntheticKernels.BzImage(), 10_000);
        BootRequest request = setup.Request(0x1000_0000, "root=/dev/x quiet", new GuestAddress(0xE_0000));
        BootPlan plan = LinuxBoot.Plan(setup.Kernel, request);
        AssertSound(plan, request);

        byte[] kernel = Content(plan, "kernel");
        Assert.Equal(0x100_0000UL, Segment(plan, "kernel").Address.Value);
        Assert.Equal(SyntheticKernels.BzImage()[(5 * 512)..], kernel);
        Assert.Equal(0x100_0200UL, plan.Entry.InstructionPointer.Value);
        Assert.Equal(0x1000_0000UL - 0x4000 - 0x3000, Segment(plan, "initramfs").Address.Value);
        Assert.Equal(setup.Initramfs, Content(plan, "initramfs"));
        Assert.Equal("root=/dev/x quiet\0"u8.ToArray(), Content(plan, "command line"));

        byte[] page = Content(plan, "zero page");
        Assert.Equal(4096, page.Length);
        Assert.Equal(0xE_0000UL, BinaryPrimitives.ReadUInt64LittleEndian(page.AsSpan(0x70)));
        Assert.Equal(0x0FFF_9000u, U32(page, 0x218));
        Assert.Equal(10_000u, U32(page, 0x21C));
        Assert.Equal(0u, U32(page, 0xC0) | U32(page, 0xC4) | U32(page, 0xC8));
        Assert.Equal(Segment(plan, "command line").Address.Value, U32(page, 0x228));
        Assert.Equal(0xFF, page[0x210]);
        Assert.Equal(0x01, page[0x211]);
        Assert.Equal(0x5372_6448u, U32(page, 0x202));
        Assert.Equal(0UL, BinaryPrimitives.ReadUInt64LittleEndian(page.AsSpan(0x250)));
        Assert.Equal(0x80_0000u, U32(page, 0x260));

        // Setup code around the header stays out.
        Assert.All(page[0x26C..0x2D0], static value => Assert.Equal(0, value));
        Assert.Equal(request.MemoryMap, ReadRanges(page.AsSpan(0x2D0), page[0x1E8], 20));
    }

    [Fact]
    public void The_identity_map_reaches_every_address_below_4_GiB()
    {
        using Setup setup = new(SyntheticKernels.BzImage(), 0);
        BootPlan plan = LinuxBoot.Plan(setup.Kernel, setup.Request(0x1000_0000));
        byte[] tables = Content(plan, "page tables");
        ulong at = plan.Entry.PageTables.Value;
        ulong Entry(ulong table, ulong index) => BinaryPrimitives.ReadUInt64LittleEndian(tables.AsSpan((int)(table - at + index * 8)));
        Prop.ForAll(Gen.Choose(0, int.MaxValue).Select(static half => (ulong)half * 2).ToArbitrary(), address =>
        {
            ulong level4 = Entry(at, address >> 39);
            ulong level3 = Entry(level4 & ~0xFFFUL, address >> 30 & 511);
            ulong level2 = Entry(level3 & ~0xFFFUL, address >> 21 & 511);
            Assert.Equal(3UL, level4 & 3);
            Assert.Equal(3UL, level3 & 0x83);
            Assert.Equal(0x83UL, level2 & 0x83);
            Assert.Equal(address, (level2 & ~0x1F_FFFFUL) + (address & 0x1F_FFFF));
        }).Holds();
    }

    [Theory]
    [InlineData(false, 0xA, 0x20)]
    [InlineData(true, 0xC, 0)]
    public void Descriptors_are_flat_present_and_already_accessed(bool pvh, int codeSize, int codeLong)
    {
        using Setup setup = new(pvh ? SyntheticKernels.Elf(wide: true) : SyntheticKernels.BzImage(), 0);
        BootPlan plan = LinuxBoot.Plan(setup.Kernel, setup.Request(0x1000_0000));
        byte[] gdt = Content(plan, "descriptor table");
        byte[] code = gdt[plan.Entry.CodeSelector..][..8];
        byte[] data = gdt[plan.Entry.DataSelector..][..8];
        byte[] task = gdt[plan.Entry.TaskSelector..][..8];
        Assert.Equal(0x9B, code[5]);
        Assert.Equal(0x93, data[5]);
        Assert.Equal(0x8B, task[5]);
        Assert.Equal(0x67, task[0]);
        Assert.Equal(codeSize, code[6] >> 4);
        Assert.Equal(codeLong, code[6] & 0x20);
        Assert.Equal([0xFF, 0xFF, 0, 0, 0], code[..5]);
        Assert.Equal([0xFF, 0xFF, 0, 0, 0], data[..5]);
        Assert.All(gdt[..8], static value => Assert.Equal(0, value));
        Assert.Equal(pvh ? BootMode.Pvh32 : BootMode.Long64, plan.Entry.Mode);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void An_ELF_kernel_is_told_everything_in_the_PVH_start_info(bool wide)
    {
        using Setup setup = new(SyntheticKernels.Elf(wide), 3000);
        BootRequest request = setup.Request(0x1_0000_0000, "console=hvc0", new GuestAddress(0xE_0000));
        BootPlan plan = LinuxBoot.Plan(setup.Kernel, request);
        AssertSound(plan, request);
        Assert.Equal(SyntheticKernels.PvhEntry, plan.Entry.InstructionPointer.Value);

        byte[] info = Content(plan, "start info");
        ulong at = plan.Entry.BootInformation.Value;
        ulong Q(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(info.AsSpan(offset));
        Assert.Equal(0x336E_C578u, U32(info, 0));
        Assert.Equal(1u, U32(info, 4));
        Assert.Equal(1u, U32(info, 12));
        int module = (int)(Q(16) - at);
        Assert.Equal(Segment(plan, "initramfs").Address.Value, Q(module));
        Assert.Equal(3000UL, Q(module + 8));
        Assert.Equal(Segment(plan, "command line").Address.Value, Q(24));
        Assert.Equal(0xE_0000UL, Q(32));
        Assert.Equal(request.MemoryMap, ReadRanges(info.AsSpan((int)(Q(40) - at)), (int)U32(info, 48), 24));
        BootSegment second = plan.Segments.Last(static segment => segment.Name == "kernel");
        Assert.Equal((0x800UL, 0x4800UL), (second.Length, second.ZeroTail));
    }

    [Fact]
    public void Without_an_initramfs_nothing_points_to_one()
    {
        using Setup elf = new(SyntheticKernels.Elf(wide: true), 0);
        byte[] info = Content(LinuxBoot.Plan(elf.Kernel, elf.Request(0x1000_0000)), "start info");
        Assert.Equal(0u, U32(info, 12) | U32(info, 16) | U32(info, 20));
        using Setup linux = new(SyntheticKernels.BzImage(), 0);
        byte[] page = Content(LinuxBoot.Plan(linux.Kernel, linux.Request(0x1000_0000)), "zero page");
        Assert.Equal(0u, U32(page, 0x218) | U32(page, 0x21C));
    }

    [Fact]
    public void The_initramfs_respects_the_kernels_highest_address()
    {
        byte[] file = SyntheticKernels.BzImage();
        SyntheticKernels.U32(file, 0x22C, 0x37FF_FFFF);
        using Setup setup = new(file, 4097);
        BootPlan plan = LinuxBoot.Plan(setup.Kernel, setup.Request(0x2_0000_0000));
        Assert.Equal(0x37FF_E000UL, Segment(plan, "initramfs").Address.Value);
    }

    [Fact]
    public void A_kernel_whose_place_is_taken_moves_up_by_its_alignment_only_when_it_is_relocatable()
    {
        MemoryMapEntry[] obstacle = [new(Acpi.SamplePlatforms.Range(0x110_0000, 0x1000), MemoryKind.Reserved)];
        IReadOnlyList<MemoryMapEntry> map = MemoryMap.Build([Acpi.SamplePlatforms.Range(0, 0x1000_0000)], obstacle);
        using Setup movable = new(SyntheticKernels.BzImage(), 0);
        Assert.Equal(0x120_0200UL, LinuxBoot.Plan(movable.Kernel, new BootRequest { MemoryMap = map }).Entry.InstructionPointer.Value);

        byte[] file = SyntheticKernels.BzImage();
        file[0x234] = 0;
        using Setup fixedPlace = new(file, 0);
        AssertSentence(() => LinuxBoot.Plan(fixedPlace.Kernel, new BootRequest { MemoryMap = map }), "needs 8M of RAM from 0x1000000");
        Assert.Equal(0x100_0200UL, LinuxBoot.Plan(fixedPlace.Kernel, fixedPlace.Request(0x1000_0000)).Entry.InstructionPointer.Value);
    }

    [Fact]
    public void A_kernel_that_must_lie_over_the_boot_structures_is_refused()
    {
        byte[] file = SyntheticKernels.BzImage();
        file[0x234] = 0;
        SyntheticKernels.U64(file, 0x258, 0x1_4000);
        SyntheticKernels.U32(file, 0x260, 0x4000);
        using Setup over = new(file, 0);
        AssertSentence(() => LinuxBoot.Plan(over.Kernel, over.Request(0x1000_0000)), "needs 16384 bytes of RAM from 0x14000");
        SyntheticKernels.U64(file, 0x258, 0x4_0000);
        using Setup beside = new(file, 0);
        BootRequest request = beside.Request(0x1000_0000);
        AssertSound(LinuxBoot.Plan(beside.Kernel, request), request);
    }

    [Fact]
    public void What_does_not_fit_is_said_with_both_sizes()
    {
        using Setup setup = new(SyntheticKernels.BzImage(), 4 << 20);
        AssertSentence(() => LinuxBoot.Plan(setup.Kernel, setup.Request(0x140_0000)), "needs 8M of RAM from 0x1000000 on", "the guest has 20M");
        using Setup large = new(SyntheticKernels.BzImage(), 32 << 20);
        AssertSentence(() => LinuxBoot.Plan(large.Kernel, large.Request(0x200_0000)), "too large for the guest's RAM", "it has 32M", "15M are free");
        using Setup elf = new(SyntheticKernels.Elf(wide: true), 0);
        AssertSentence(() => LinuxBoot.Plan(elf.Kernel, elf.Request(0x18_0000)), "must be at 0x200000-0x204fff", "the guest has 2M");
        AssertSentence(() => LinuxBoot.Plan(setup.Kernel, new BootRequest { MemoryMap = [] }), "no RAM for the descriptor table", "has 0 bytes");
    }

    [Fact]
    public void A_command_line_must_fit_the_kernels_limit_in_bytes_and_have_no_zero()
    {
        using Setup setup = new(SyntheticKernels.BzImage(), 0);
        Assert.Equal(2048, Content(LinuxBoot.Plan(setup.Kernel, setup.Request(0x1000_0000, new string('x', 2047))), "command line").Length);
        AssertSentence(() => LinuxBoot.Plan(setup.Kernel, setup.Request(0x1000_0000, new string('\u00e9', 1024))), "it has 2048 bytes", "takes 2047");
        AssertSentence(() => LinuxBoot.Plan(setup.Kernel, setup.Request(0x1000_0000, "a\0b")), "zero character");
    }

    [Fact]
    public void A_memory_map_longer_than_the_zero_page_holds_is_refused()
    {
        using Setup setup = new(SyntheticKernels.BzImage(), 0);
        List<AddressRange> ram = [Acpi.SamplePlatforms.Range(0, 0x1000_0000)];
        ram.AddRange(Enumerable.Range(0, 128).Select(static i => Acpi.SamplePlatforms.Range((1UL << 32) + (ulong)i * 0x2000, 0x1000)));
        AssertSentence(() => LinuxBoot.Plan(setup.Kernel, new BootRequest { MemoryMap = MemoryMap.Build(ram, []) }), "has 129 ranges", "holds 128");
    }

    [Fact]
    public void A_segment_reads_in_pieces_and_not_past_its_end()
    {
        using Setup setup = new(SyntheticKernels.BzImage(), 0);
        BootSegment kernel = Segment(LinuxBoot.Plan(setup.Kernel, setup.Request(0x1000_0000)), "kernel");
        byte[] piece = new byte[100];
        kernel.Read(8092, piece);
        Assert.Equal(SyntheticKernels.BzImage()[^100..], piece);
        Assert.Throws<ArgumentOutOfRangeException>(() => kernel.Read(8093, piece));
        Assert.Throws<ArgumentOutOfRangeException>(() => kernel.Read(ulong.MaxValue, []));
    }

    private static void AssertSentence(Func<BootPlan> plan, params string[] parts)
    {
        ApertureException fault = Assert.Throws<ApertureException>(plan);
        Assert.Equal(ApertureException.ConfigurationError, fault.ExitCode);
        Assert.All(parts, part => Assert.Contains(part, fault.Message, StringComparison.Ordinal));
    }

    private static BootSegment Segment(BootPlan plan, string name) => plan.Segments.Single(segment => segment.Name == name);

    private static byte[] Content(BootPlan plan, string name)
    {
        BootSegment segment = Segment(plan, name);
        byte[] bytes = new byte[segment.Length];
        segment.Read(0, bytes);
        return bytes;
    }

    private static uint U32(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static List<MemoryMapEntry> ReadRanges(ReadOnlySpan<byte> bytes, int count, int size)
    {
        List<MemoryMapEntry> ranges = [];
        for (int i = 0; i < count; i++, bytes = bytes[size..])
        {
            ranges.Add(new MemoryMapEntry(
                Acpi.SamplePlatforms.Range(BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..])),
                (MemoryKind)BinaryPrimitives.ReadUInt32LittleEndian(bytes[16..])));
        }

        return ranges;
    }

    private sealed class Setup : IDisposable
    {
        private readonly TemporaryFile _kernelFile;
        private readonly TemporaryFile? _initramfsFile;
        private readonly BootFile? _initramfs;

        public Setup(byte[] kernel, int initramfsSize)
        {
            _kernelFile = new TemporaryFile(kernel);
            Kernel = KernelImage.Open(_kernelFile.Path);
            Initramfs = [.. Enumerable.Range(0, initramfsSize).Select(static i => (byte)(i * 7))];
            if (initramfsSize != 0)
            {
                _initramfsFile = new TemporaryFile(Initramfs);
                _initramfs = BootFile.Open(_initramfsFile.Path, "initramfs");
            }
        }

        public KernelImage Kernel { get; }

        public byte[] Initramfs { get; }

        public BootRequest Request(ulong ram, string commandLine = "", GuestAddress rsdp = default) => new()
        {
            MemoryMap = Map(ram),
            CommandLine = commandLine,
            RsdpAddress = rsdp,
            Initramfs = _initramfs,
        };

        public void Dispose()
        {
            Kernel.Dispose();
            _initramfs?.Dispose();
            _kernelFile.Dispose();
            _initramfsFile?.Dispose();
        }
    }
}
