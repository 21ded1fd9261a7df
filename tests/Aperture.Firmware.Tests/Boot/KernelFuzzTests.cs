using System.Text;
using Aperture.Firmware.Boot;
using Aperture.Firmware.Boot.X86;
using Aperture.TestKit.Parts.Kernels;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Boot;

/// <summary>Whatever the file holds, opening and planning it either works, with everything in RAM and apart, or gives one sentence.</summary>
public class KernelFuzzTests
{
    private static readonly byte[][] Seeds = [SyntheticKernels.BzImage(), SyntheticKernels.Elf(wide: true), SyntheticKernels.Elf(wide: false)];

    private const int HeaderAt = SyntheticKernels.MultibootHeaderAt;

    private static readonly byte[][] MultibootSeeds =
        [SyntheticKernels.Multiboot(wide: true), SyntheticKernels.Multiboot(wide: false), MultibootImageTests.WithAddresses()];

    // The ELF headers, the foreign notes, and the Multiboot header with its addresses; its checksum is made right again, or hardly one would be read.
    private static Gen<byte[]> MultibootMutants { get; } =
        from seed in Gen.Elements(MultibootSeeds)
        from changes in (
            from at in Gen.OneOf(Gen.Choose(0, 0x130), Gen.Choose(0x800, 0x830), Gen.Choose(HeaderAt, HeaderAt + 32))
            from value in Gen.OneOf(Gen.Choose(0, 255), Gen.Elements(0, 1, 0x7F, 0x80, 0xFF))
            select (at, (byte)value)).ListOf()
        from cut in Gen.OneOf(Gen.Constant(int.MaxValue), Gen.Choose(0, 0x3000))
        select Mutate(MultibootImageTests.Summed(Mutate(seed, changes, int.MaxValue)), [], cut);

    // Headers are where a changed byte matters; edges are the values that break arithmetic.
    private static Gen<(int At, byte Value)> Changes { get; } =
        from at in Gen.OneOf(Gen.Choose(0, 0x130), Gen.Choose(0x1F0, 0x270), Gen.Choose(0x800, 0x830), Gen.Choose(0, 0x2FFF))
        from value in Gen.OneOf(Gen.Choose(0, 255), Gen.Elements(0, 1, 0x7F, 0x80, 0xFF))
        select (at, (byte)value);

    private static Gen<byte[]> Mutants { get; } =
        from seed in Gen.Elements(Seeds)
        from changes in Changes.ListOf()
        from cut in Gen.OneOf(Gen.Constant(int.MaxValue), Gen.Choose(0, 0x3000))
        select Mutate(seed, changes, cut);

    private static Gen<byte[]> Noise { get; } =
        from seed in Gen.Elements(Seeds)
        from keep in Gen.Choose(0, 0x280)
        from noise in Gen.Choose(0, 255).Select(static value => (byte)value).ArrayOf()
        select (byte[])[.. seed.AsSpan(0, keep), .. noise];

    [Fact]
    public void Mutated_truncated_and_random_files_are_planned_soundly_or_refused_in_one_sentence()
    {
        using TemporaryFile initramfs = new(new byte[5000]);
        Prop.ForAll(Gen.OneOf(Mutants, Noise).ToArbitrary(), bytes => Check(bytes, initramfs.Path))
            .Holds(1500);
    }

    [Fact]
    public void So_are_files_with_a_Multiboot_header()
    {
        using TemporaryFile initramfs = new(new byte[5000]);
        int planned = 0;
        Prop.ForAll(MultibootMutants.ToArbitrary(), bytes =>
        {
            planned += Check(bytes, initramfs.Path) == "planned" ? 1 : 0;
        }).Holds(1500);
        Assert.NotEqual(0, planned);
    }

    public static TheoryData<string> Corpus =>
        [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "corpus")).Select(static path => Path.GetFileName(path)!)];

    [Theory]
    [MemberData(nameof(Corpus))]
    public void The_corpus_replays(string name)
    {
        using TemporaryFile initramfs = new(new byte[5000]);
        string outcome = Check(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "corpus", name)), initramfs.Path);
        Assert.Equal(name.StartsWith("good-", StringComparison.Ordinal), outcome == "planned");
    }

    private static string Check(byte[] bytes, string initramfsPath)
    {
        using TemporaryFile file = new(bytes);
        try
        {
            using KernelImage kernel = KernelImage.Open(file.Path);
            using BootFile initramfs = BootFile.Open(initramfsPath, "initramfs");
            BootRequest request = new()
            {
                MemoryMap = BootPlanTests.Map(0x800_0000),
                CommandLine = "console=ttyS0",
                Initramfs = initramfs,
            };
            BootPlanTests.AssertSound(LinuxBoot.Plan(kernel, request), request);
            return "planned";
        }
        catch (ApertureException fault)
        {
            Assert.DoesNotContain('\n', fault.Message);
            Assert.True(Encoding.UTF8.GetByteCount(fault.Message) < 400, fault.Message);
            return fault.Message;
        }
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
