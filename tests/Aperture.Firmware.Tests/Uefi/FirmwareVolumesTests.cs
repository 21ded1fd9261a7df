using System.Diagnostics;
using Aperture.Firmware.Uefi;
using FsCheck.Fluent;

namespace Aperture.Firmware.Tests.Uefi;

public class FirmwareVolumesTests
{
    /// <summary>Debian's builds of OVMF, and which of them say in their descriptions that they need system management mode.</summary>
    public static TheoryData<string, bool> Builds { get; } = new()
    {
        { "OVMF/OVMF_CODE_4M.secboot.fd", true },
        { "OVMF/OVMF_CODE_4M.ms.fd", true },
        { "OVMF/OVMF_CODE.secboot.fd", true },
        { "OVMF/OVMF_CODE_4M.fd", false },
        { "OVMF/OVMF_CODE.fd", false },
        { "OVMF/OVMF_VARS_4M.fd", false },
        { "qemu/OVMF.fd", false },
        { "seabios/bios-256k.bin", false },
    };

    [Theory]
    [MemberData(nameof(Builds))]
    public void The_image_itself_says_whether_it_needs_system_management_mode(string file, bool needed)
    {
        string path = Path.Combine("/usr/share", file);
        Assert.SkipUnless(File.Exists(path), $"{path} is not installed (packages ovmf and seabios)");
        Assert.Equal(needed, FirmwareVolumes.NeedManagementMode(File.ReadAllBytes(path)));
    }

    [Fact]
    public void An_image_that_is_found_inside_a_larger_one_counts_too()
    {
        const string Path = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
        Assert.SkipUnless(File.Exists(Path), $"{Path} is not installed (package ovmf)");
        Assert.True(FirmwareVolumes.NeedManagementMode([.. new byte[0x8_4000], .. File.ReadAllBytes(Path)]));
    }

    [Fact]
    public void Broken_images_are_read_without_a_fault()
    {
        const string Path = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
        byte[] image = File.Exists(Path) ? File.ReadAllBytes(Path)[..0x2000] : Volume();
        Prop.ForAll(Gen.Choose(0, 200).ToArbitrary(), Gen.Choose(0, int.MaxValue).ToArbitrary(), (count, seed) =>
        {
            Random random = new(seed);
            byte[] broken = image.AsSpan(0, random.Next(image.Length + 1)).ToArray();
            for (int i = 0; i < count && broken.Length > 0; i++)
            {
                // Most of the damage where the headers are.
                broken[random.Next(random.Next(3) == 0 ? broken.Length : Math.Min(160, broken.Length))] = (byte)random.Next(256);
            }

            FirmwareVolumes.NeedManagementMode(broken);
        }).Holds(1000);
    }

    [Theory]
    [InlineData("lc=3,lp=0,pb=2")]
    [InlineData("lc=0,lp=4,pb=0")]
    [InlineData("lc=4,lp=0,pb=4")]
    [InlineData("lc=1,lp=2,pb=1")]
    public void What_xz_compressed_comes_back_whole_or_as_far_as_was_asked(string properties)
    {
        const string Xz = "/usr/bin/xz";
        Assert.SkipUnless(File.Exists(Xz), $"{Xz} is not installed (package xz-utils)");
        foreach (int seed in Enumerable.Range(1, 6))
        {
            byte[] plain = Sample(new Random(seed), 1 << (2 * seed + 4));
            byte[] packed = Compress(Xz, properties, plain);
            Assert.Equal(plain, LzmaDecoder.Decode([1, 2, 3, .. packed], 3, plain.Length + 1)[..plain.Length]);
            Assert.Equal(plain[..(plain.Length / 3)], LzmaDecoder.Decode(packed, 0, plain.Length / 3));

            // Cut short: what came before the cut, and no fault.
            byte[] part = LzmaDecoder.Decode(packed[..(packed.Length / 2)], 0, plain.Length);
            Assert.Equal(plain[..Math.Max(0, part.Length - 300)], part[..Math.Max(0, part.Length - 300)]);
        }
    }

    [Fact]
    public void What_is_no_LZMA_decodes_to_no_more_than_was_asked()
    {
        Prop.ForAll(Gen.Choose(0, 400).ToArbitrary(), Gen.Choose(0, int.MaxValue).ToArbitrary(), (length, seed) =>
        {
            byte[] noise = new byte[length];
            new Random(seed).NextBytes(noise);
            Assert.InRange(LzmaDecoder.Decode(noise, seed % 20 - 2, 10_000).Length, 0, 10_000);
        }).Holds(1000);
    }

    // Text, runs, copies from afar, and noise: each kind of match and distance.
    private static byte[] Sample(Random random, int size)
    {
        List<byte> bytes = [];
        while (bytes.Count < size)
        {
            int length = random.Next(1, 400);
            switch (random.Next(4))
            {
                case 0:
                    bytes.AddRange(Enumerable.Repeat((byte)random.Next(256), length));
                    break;
                case 1 when bytes.Count > 0:
                    int from = random.Next(bytes.Count);
                    for (int i = 0; i < length; i++)
                    {
                        bytes.Add(bytes[from + i]);
                    }

                    break;
                case 2:
                    bytes.AddRange(Enumerable.Range(0, length).Select(_ => (byte)random.Next(256)));
                    break;
                default:
                    bytes.AddRange(Enumerable.Range(0, length).Select(i => (byte)"firmware volume "[i % 16]));
                    break;
            }
        }

        return [.. bytes.Take(size)];
    }

    private static byte[] Compress(string xz, string properties, byte[] plain)
    {
        using TemporaryFile file = new(plain);
        string[] arguments = ["--format=lzma", $"--lzma1={properties},dict=4MiB", "--keep", "--stdout", file.Path];
        ProcessStartInfo start = new(xz, arguments) { RedirectStandardOutput = true };
        using Process process = Process.Start(start)!;
        using MemoryStream packed = new();
        process.StandardOutput.BaseStream.CopyTo(packed);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return packed.ToArray();
    }

    // A volume with one file, for hosts without OVMF.
    private static byte[] Volume()
    {
        byte[] volume = new byte[0x1000];
        Array.Fill(volume, (byte)0xFF, 72, 0x1000 - 72);
        BitConverter.TryWriteBytes(volume.AsSpan(32), 0x1000UL);
        "_FVH"u8.CopyTo(volume.AsSpan(40));
        BitConverter.TryWriteBytes(volume.AsSpan(48), (ushort)72);
        volume[72 + 18] = 0x0B;
        BitConverter.TryWriteBytes(volume.AsSpan(72 + 20), 0xF800_0200u);
        return volume;
    }
}
