using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using Aperture.Devices.Display;
using Aperture.Linux;
using Aperture.Pci;
using Aperture.TestKit.Devices;

namespace Aperture.Devices.Tests;

public sealed class ScreenFileTests : IDisposable
{
    private const string VgaBios = "/usr/share/seabios/vgabios-stdvga.bin";

    private static readonly OutputFiles Files = new(Assert.Fail);
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // CRC-32 one bit at a time (ISO/IEC 15948, annex D gives the polynomial).
    private static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in bytes)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                bool one = ((crc ^ value >> bit) & 1) != 0;
                crc = crc >> 1 ^ (one ? 0xEDB88320 : 0);
            }
        }

        return ~crc;
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 2)]
    [InlineData(720, 400)]
    public void A_PNG_decodes_to_the_picture_it_was_made_of(int width, int height)
    {
        byte[] pixels = new byte[width * height * 4];
        new Random(width).NextBytes(pixels);
        string path = Path.Combine(_folder.Path, "shot.png");
        new ScreenImage(width, height, pixels).SavePng(path, Files);
        byte[] file = File.ReadAllBytes(path);
        Assert.Equal([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], file[..8]);
        List<string> types = [];
        byte[] data = [];
        for (int at = 8; at < file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            string type = Encoding.ASCII.GetString(file, at + 4, 4);
            Assert.Equal(Crc(file.AsSpan(at + 4, length + 4)), BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at + 8 + length)));
            types.Add(type);
            data = type == "IDAT" ? file[(at + 8)..(at + 8 + length)] : data;
            if (type == "IHDR")
            {
                Assert.Equal(width, BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at + 8)));
                Assert.Equal(height, BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at + 12)));
                Assert.Equal([8, 6, 0, 0, 0], file[(at + 16)..(at + 21)]);
            }

            at += length + 12;
        }

        Assert.Equal(["IHDR", "IDAT", "IEND"], types);
        using ZLibStream inflate = new(new MemoryStream(data), CompressionMode.Decompress);
        using MemoryStream lines = new();
        inflate.CopyTo(lines);
        byte[] raw = lines.ToArray();
        Assert.Equal(height * ((width * 4) + 1), raw.Length);
        for (int y = 0; y < height; y++)
        {
            Assert.Equal(0, raw[y * ((width * 4) + 1)]);
            Assert.Equal(pixels.AsSpan(y * width * 4, width * 4), raw.AsSpan((y * ((width * 4) + 1)) + 1, width * 4));
        }
    }

    [Fact]
    public void A_screenshot_that_cannot_be_written_says_where()
    {
        ApertureException e = Assert.Throws<ApertureException>(() => new ScreenImage(1, 1, new byte[4]).SavePng(_folder.In("no/x.png"), Files));
        Assert.Contains("x.png", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_text_log_appends_a_screen_only_when_it_changed()
    {
        FakeClock clock = new();
        TextScreen? screen = null;
        StringWriter output = new();
        TextLog log = new(() => screen, output, clock, TimeSpan.FromMilliseconds(100));
        log.Look();
        Assert.Equal("", output.ToString());
        screen = new TextScreen(80, ["one", ""], 0, 0);
        clock.Advance(TimeSpan.FromMilliseconds(100));
        log.Look();
        Assert.Equal("--- screen 1 ---\none\n", output.ToString());
        screen = null;
        log.Look();
        screen = new TextScreen(80, ["one", "two"], 0, 0);
        log.Dispose();
        Assert.Equal("--- screen 1 ---\none\n--- screen 2 ---\none\ntwo\n", output.ToString());
        log.Look();
    }

    [Fact]
    public void A_ROM_is_filled_up_to_a_power_of_two_and_other_files_are_refused()
    {
        byte[] image = new byte[3000];
        (image[0], image[1], image[2999]) = (0x55, 0xAA, 7);
        using ExpansionRom rom = ExpansionRom.FromImage("x", image);
        Assert.Equal(4096UL, rom.Size);
        Assert.Equal(7, rom.Memory.Read<byte>(2999));
        Assert.Equal(0xFF, rom.Memory.Read<byte>(3000));
        Assert.Throws<ApertureException>(() => ExpansionRom.FromImage("x", new byte[3000]));
        Assert.Throws<ApertureException>(() => ExpansionRom.Load(Path.Combine(_folder.Path, "none")));
    }

    [Fact]
    public void The_video_BIOS_of_SeaBIOS_names_this_adapter()
    {
        Assert.SkipUnless(File.Exists(VgaBios), $"{VgaBios} is not installed");
        using StandardVga vga = new("vga", ExpansionRom.Load(VgaBios));
        byte[] rom = vga.Memory(BarKinds.RomIndex)!.AsSpan(0, 0x10000).ToArray();
        int structure = rom[0x18] | rom[0x19] << 8;
        Assert.Equal("PCIR", Encoding.ASCII.GetString(rom, structure, 4));
        Assert.Equal(vga.ReadConfig(0, 4), BinaryPrimitives.ReadUInt32LittleEndian(rom.AsSpan(structure + 4)));
        Assert.Equal(64UL << 10, vga.FindBar(BarKinds.RomIndex)!.Size);
    }
}
