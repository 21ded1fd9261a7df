using System.IO.Compression;
using System.Text;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.Arm64;
using Aperture.Firmware.Tests.Acpi;
using Aperture.TestKit.Parts.Kernels;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Boot;

public class Arm64BootTests
{
    private const ulong RamStart = 0x4000_0000;
    private const ulong Block = 2UL << 20;
    private static readonly Lazy<byte[][]> Seeds = new(MakeSeeds);

    [Fact]
    public void An_image_goes_to_the_first_block_of_RAM_with_its_offset_and_zeros_behind()
    {
        byte[] bytes = SyntheticKernels.Arm64();
        bytes[10] = 8;
        (Arm64BootPlan plan, _) = Plan(bytes, [Ram(64 << 20)], 5000);
        Assert.Equal(new GuestAddress(RamStart + 0x8_0000), plan.Entry);
        BootSegment kernel = plan.Segments.Single(s => s.Name == "kernel");
        Assert.Equal((0x3000UL, 0xD000UL), (kernel.Length, kernel.ZeroTail));
        byte[] content = new byte[0x3000];
        kernel.Read(0, content);
        Assert.Equal(bytes, content);
    }

    [Fact]
    public void The_device_tree_learns_where_the_initramfs_is()
    {
        (Arm64BootPlan plan, AddressRange told) = Plan(SyntheticKernels.Arm64(), [Ram(64 << 20)], 5000);
        Assert.Equal(plan.Segments.Single(s => s.Name == "initramfs").Range, told);
        Assert.Equal(plan.Segments.Single(s => s.Name == "device tree").Address, plan.DeviceTree);
        (_, told) = Plan(SyntheticKernels.Arm64(), [Ram(64 << 20)], null);
        Assert.True(told.IsEmpty);
    }

    [Theory]
    [InlineData("gz")]
    [InlineData("zboot gzip")]
    [InlineData("zboot zstd22")]
    public void A_packed_image_is_the_same_as_the_plain_one(string form)
    {
        byte[] plain = SyntheticKernels.Arm64();
        byte[] file = form switch
        {
            "gz" => Gzip(plain),
            "zboot gzip" => SyntheticKernels.Zboot(Gzip(plain), "gzip"),
            _ => SyntheticKernels.Zboot(Zstd(plain), "zstd22"),
        };
        (Arm64BootPlan plan, _) = Plan(file, [Ram(64 << 20)], null);
        BootSegment kernel = plan.Segments.Single(s => s.Name == "kernel");
        byte[] content = new byte[(int)kernel.Length];
        kernel.Read(0, content);
        Assert.Equal(plain, content);
        Assert.Equal(0x1_0000UL, kernel.Range.Size);
    }

    public static TheoryData<string, string> Refused => new()
    {
        { "big-endian", "is big-endian, and the virt board starts little-endian kernels only" },
        { "no size", "it is older than Linux 3.17, the oldest that is booted" },
        { "huge", "is damaged: it claims 0x8000000000000000 bytes at 0x0" },
        { "32-bit", "is a 32-bit Arm kernel (zImage), which no machine here boots; use an arm64 Image" },
        { "x86", "is for x86, and the virt board's processors are arm64; use an arm64 Image, or --machine q35" },
        { "lz4", "is packed with lz4, which is not read; firmware starts it (--firmware), or unpack it first" },
        { "cut zboot", "is truncated: its packed part ends at " },
        { "damaged gzip", "is damaged: its packed part cannot be unpacked (" },
        { "damaged zstd", "is damaged: its packed part cannot be unpacked (" },
        { "large", "needs 1G of RAM, but the guest has 64M below 4 GiB; give it more memory" },
        { "large initramfs", "is too large for the guest's RAM: it has 64M, and " },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void What_cannot_be_booted_is_refused_in_one_sentence(string what, string sentence)
    {
        ApertureException refused = Assert.Throws<ApertureException>(
            () => Plan(Bad(what), [Ram(64 << 20)], what == "large initramfs" ? 64 << 20 : null));
        Assert.Contains(sentence, refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Fact]
    public void An_arm64_kernel_on_a_PC_is_refused_in_one_sentence()
    {
        using TemporaryFile file = new(SyntheticKernels.Arm64());
        using KernelImage kernel = KernelImage.Open(file.Path);
        Assert.Equal(KernelArchitecture.Arm64, kernel.Architecture);
        ApertureException refused = Assert.Throws<ApertureException>(
            () => Firmware.Boot.X86.LinuxBoot.Plan(kernel, new BootRequest { MemoryMap = BootPlanTests.Map(0x800_0000) }));
        Assert.Equal($"kernel {file.Path} is for arm64, and this board's processors are x86; use an x86-64 kernel, or --machine virt", refused.Message);
    }

    [Fact]
    public void A_gzip_file_without_an_arm64_image_is_told_as_before()
    {
        using TemporaryFile file = new(Gzip(SyntheticKernels.Elf(wide: true)));
        ApertureException refused = Assert.Throws<ApertureException>(() => KernelImage.Open(file.Path));
        Assert.Equal($"kernel {file.Path} is compressed with gzip; uncompress it first", refused.Message);
    }

    [Fact]
    public void Firmware_unpacks_what_this_program_does_not()
    {
        using TemporaryFile file = new(Bad("lz4"));
        using KernelImage kernel = KernelImage.Open(file.Path, byFirmware: true);
        Assert.Equal(KernelArchitecture.Arm64, kernel.Architecture);
    }

    [Fact]
    public void A_command_line_that_the_kernel_would_cut_is_refused()
    {
        Arm64Boot.CheckCommandLine(new string('a', 2047));
        Assert.Contains("it has 2048 bytes, the kernel takes 2047", Assert.Throws<ApertureException>(
            () => Arm64Boot.CheckCommandLine(new string('a', 2048))).Message, StringComparison.Ordinal);
        Assert.Throws<ApertureException>(() => Arm64Boot.CheckCommandLine("a\0b"));
    }

    /// <summary>Whatever the header and the map say: everything lies in RAM, apart, as the protocol wants it, or there is one sentence.</summary>
    [Fact]
    public void Whatever_is_booted_is_placed_as_the_protocol_wants_it()
    {
        int planned = 0;
        Gen<(byte[] File, AddressRange[] Ram, int? Initramfs)> cases =
            from file in Mutants
            from first in Gen.Elements(0x4000_0000UL, 0x4010_0000UL, 0x8000_0000UL)
            from size in Gen.Elements(1UL << 20, 4UL << 20, 16UL << 20, 3UL << 30)
            from more in Gen.Elements(0UL, 8UL << 20, 1UL << 40)
            from initramfs in Gen.Elements((int?)null, 1, 5000, 3 << 20)
            select (file, (AddressRange[])[.. Pieces(first, size, more)], initramfs);
        Prop.ForAll(cases.ToArbitrary(), c =>
        {
            try
            {
                (Arm64BootPlan plan, _) = Plan(c.File, c.Ram, c.Initramfs);
                AssertSound(plan, c.Ram);
                planned++;
            }
            catch (ApertureException refused)
            {
                Assert.DoesNotContain('\n', refused.Message);
                Assert.True(Encoding.UTF8.GetByteCount(refused.Message) < 400, refused.Message);
            }
        }).Holds(600);
        Assert.True(planned > 100, $"{planned}");
    }

    private static IEnumerable<AddressRange> Pieces(ulong first, ulong size, ulong more)
    {
        yield return new AddressRange(new GuestAddress(first), Math.Min(size, 0x1_0000_0000 - first));
        if (more > 0)
        {
            yield return new AddressRange(new GuestAddress(0x1_0000_0000), more);
        }
    }

    // Header bytes matter most; of packed files any byte.
    private static Gen<byte[]> Mutants { get; } =
        from count in Gen.Choose(0, 3)
        from seed in Gen.Elements(Seeds.Value)
        from changes in (
            from at in Gen.OneOf(Gen.Choose(0, 63), Gen.Choose(0, 0x3FF))
            from value in Gen.OneOf(Gen.Choose(0, 255), Gen.Elements(0, 1, 0x7F, 0x80, 0xFF))
            select (at, (byte)value)).ListOf(count)
        from cut in Gen.OneOf(Gen.Constant(int.MaxValue), Gen.Constant(int.MaxValue), Gen.Choose(1, 0x3000))
        select Mutate(seed, changes, cut);

    // With what zstd packs where there is that program.
    private static byte[][] MakeSeeds()
    {
        byte[] arm = SyntheticKernels.Arm64();
        byte[][] seeds = [arm, arm, Gzip(arm), SyntheticKernels.Zboot(Gzip(arm), "gzip")];
        return AcpiTools.Have("zstd") ? [.. seeds, SyntheticKernels.Zboot(Zstd(arm), "zstd22")] : seeds;
    }

    private static void AssertSound(Arm64BootPlan plan, AddressRange[] ram)
    {
        foreach (BootSegment segment in plan.Segments)
        {
            Assert.Contains(ram, range => range.Contains(segment.Range));
            Assert.DoesNotContain(plan.Segments, other => other != segment && other.Range.Overlaps(segment.Range));
        }

        BootSegment kernel = plan.Segments.Single(s => s.Name == "kernel");
        BootSegment tree = plan.Segments.Single(s => s.Name == "device tree");
        byte[] header = new byte[32];
        kernel.Read(0, header);
        Assert.Equal(plan.Entry, kernel.Address);
        Assert.Equal(0UL, (kernel.Address.Value - BitConverter.ToUInt64(header, 8)) % Block);
        Assert.True(kernel.Range.Size >= BitConverter.ToUInt64(header, 16));
        Assert.Equal(plan.DeviceTree, tree.Address);
        Assert.Equal(0UL, tree.Address.Value % 8);
        Assert.All(plan.Segments, s => Assert.True(s.Range.Last.Value < 1UL << 32));
    }

    private static (Arm64BootPlan Plan, AddressRange Told) Plan(byte[] kernel, IReadOnlyList<AddressRange> ram, int? initramfs)
    {
        using TemporaryFile file = new(kernel);
        using TemporaryFile second = new(new byte[initramfs ?? 1]);
        using KernelImage image = KernelImage.Open(file.Path);
        BootFile? opened = initramfs is null ? null : BootFile.Open(second.Path, "initramfs");
        try
        {
            AddressRange told = default;
            Arm64BootPlan plan = Arm64Boot.Plan(image, new Arm64BootRequest
            {
                Ram = ram,
                Initramfs = opened,
                DeviceTree = range =>
                {
                    told = range;
                    return new byte[4000];
                },
            });

            // While the file is open.
            byte[] first = new byte[64];
            plan.Segments[0].Read(0, first);
            return (plan with { Segments = [.. plan.Segments.Select(InMemory)] }, told);
        }
        finally
        {
            opened?.Dispose();
        }
    }

    private static BootSegment InMemory(BootSegment segment)
    {
        byte[] bytes = new byte[(int)segment.Length];
        segment.Read(0, bytes);
        return new BootSegment(segment.Name, segment.Address, bytes) { ZeroTail = segment.ZeroTail };
    }

    private static AddressRange Ram(ulong size) => new(new GuestAddress(RamStart), size);

    private static byte[] Bad(string what)
    {
        byte[] arm = SyntheticKernels.Arm64();
        switch (what)
        {
            case "big-endian":
                arm[24] |= 1;
                return arm;
            case "no size":
                arm.AsSpan(16, 8).Clear();
                return arm;
            case "huge":
                arm.AsSpan(16, 8).Clear();
                arm[23] = 0x80;
                return arm;
            case "large":
                BitConverter.TryWriteBytes(arm.AsSpan(16), 1UL << 30);
                return arm;
            case "32-bit":
                arm.AsSpan(56, 4).Clear();
                BitConverter.TryWriteBytes(arm.AsSpan(0x24), 0x016F_2818);
                return arm;
            case "x86":
                return SyntheticKernels.BzImage();
            case "lz4":
                return SyntheticKernels.Zboot(arm, "lz4");
            case "cut zboot":
                return SyntheticKernels.Zboot(Gzip(arm), "gzip")[..0x280];
            case "damaged gzip":
                byte[] gzip = SyntheticKernels.Zboot(Gzip(arm), "gzip");
                gzip.AsSpan(0x20A, 40).Fill(0xFF);
                return gzip;
            case "damaged zstd":
                byte[] zstd = SyntheticKernels.Zboot(Zstd(arm), "zstd22");
                zstd.AsSpan(0x206, 40).Fill(0xFF);
                return zstd;
            default:
                return arm;
        }
    }

    private static byte[] Gzip(byte[] plain)
    {
        using MemoryStream output = new();
        using (GZipStream stream = new(output, CompressionLevel.SmallestSize))
        {
            stream.Write(plain);
        }

        return output.ToArray();
    }

    private static byte[] Zstd(byte[] plain)
    {
        Assert.SkipUnless(AcpiTools.Have("zstd"), "zstd is not installed (Debian package zstd)");
        using AcpiTools tools = new();
        string file = tools.Save("image", plain);
        (int code, string output) = tools.Run("zstd", "-q", "-22", "--ultra", file, "-o", $"{file}.zst");
        Assert.True(code == 0, output);
        return File.ReadAllBytes($"{file}.zst");
    }

    private static byte[] Mutate(byte[] seed, IEnumerable<(int At, byte Value)> changes, int cut)
    {
        byte[] bytes = [.. seed];
        foreach ((int at, byte value) in changes)
        {
            if (at < bytes.Length)
            {
                bytes[at] = value;
            }
        }

        return bytes[..Math.Min(cut, bytes.Length)];
    }
}
