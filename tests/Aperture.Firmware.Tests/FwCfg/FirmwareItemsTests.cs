using System.Buffers.Binary;
using System.Text;
using Aperture.Firmware.Boot;
using Aperture.Firmware.FwCfg;
using Aperture.Firmware.Memory;
using Aperture.Firmware.Platform;
using Aperture.Firmware.Tests.Acpi;
using Aperture.TestKit.Parts.Kernels;

namespace Aperture.Firmware.Tests.FwCfg;

public class FirmwareItemsTests
{
    private static FirmwareConfiguration Configuration(string platform = "small") => new() { Platform = () => SamplePlatforms.Get(platform) };

    private static string Spare { get; } = new('0', 2 * 40);

    private static byte[] Key(FirmwareItemSet items, ushort key) => LittleFirmware.Read(items.Keys[key]);

    private static byte[] File(FirmwareItemSet items, string name) => LittleFirmware.Read(items.Files[name]);

    [Fact]
    public void The_memory_map_gives_low_RAM_as_one_range_from_0_and_the_reservations_as_they_are()
    {
        MemoryMapEntry hyperTransport = new(SamplePlatforms.Range(0xFD_0000_0000, 0x3_0000_0000), MemoryKind.Reserved);
        FirmwareItemSet items = FirmwareItems.Build(Configuration() with { Reservations = [hyperTransport] });
        Assert.Equal(
            "0000000000000000" + "0000008000000000" + "01000000"
            + "0000000001000000" + "0000008000000000" + "01000000"
            + "00000000FD000000" + "0000000003000000" + "02000000" + Spare,
            Convert.ToHexString(File(items, "etc/e820")));
    }

    [Fact]
    public void The_memory_map_is_that_of_the_moment_it_is_read_in_a_file_of_the_size_that_was_told()
    {
        PlatformDescription now = SamplePlatforms.Get("small") with { Ram = [SamplePlatforms.Range(0, 0x4000_0000)] };
        List<string> reports = [];
        FirmwareItemSet items = FirmwareItems.Build(new FirmwareConfiguration { Platform = () => now, Report = reports.Add });
        Assert.Equal("0000000000000000" + "0000004000000000" + "01000000" + Spare, Convert.ToHexString(File(items, "etc/e820")));
        now = now with { Ram = [SamplePlatforms.Range(0, 0x1000_0000), SamplePlatforms.Range(0x1_0000_0000, 0x3000_0000)] };
        Assert.Equal(
            "0000000000000000" + "0000001000000000" + "01000000"
            + "0000000001000000" + "0000003000000000" + "01000000"
            + "0000000000000000" + "0000000000000000" + "00000000",
            Convert.ToHexString(File(items, "etc/e820")));
        Assert.Empty(reports);
        string before = Convert.ToHexString(File(items, "etc/e820"));
        now = now with { Ram = [.. Enumerable.Range(0, 4).Select(n => SamplePlatforms.Range((ulong)n << 28, 0x100_0000))] };
        Assert.Equal(before, Convert.ToHexString(File(items, "etc/e820")));
        Assert.Contains("grew to 4 ranges", Assert.Single(reports), StringComparison.Ordinal);
    }

    [Fact]
    public void Keys_tell_processors_RAM_and_identity_in_their_own_widths()
    {
        Guid uuid = Guid.Parse("00112233-4455-6677-8899-aabbccddeeff");
        FirmwareItemSet items = FirmwareItems.Build(Configuration("high-ecam") with { Uuid = uuid, MaxProcessors = 9, BootMenu = true, NoGraphic = true });
        Assert.Equal(Convert.FromHexString("00112233445566778899aabbccddeeff"), Key(items, 2));
        Assert.Equal(0x1_0000_0000UL, BinaryPrimitives.ReadUInt64LittleEndian(Key(items, 3)));
        Assert.Equal([1, 0], Key(items, 4));
        Assert.Equal([4, 0], Key(items, 5));
        Assert.Equal(8 * 10, Key(items, 0xD).Length);
        Assert.Equal([1, 0], Key(items, 0xE));
        Assert.Equal([9, 0], Key(items, 0xF));
        Assert.Equal([1, 0, 0, 0], Key(items, 0x8002));
        Assert.Equal([0x80, 0, 0, 0, 0, 0x80], File(items, "etc/system-states"));
        Assert.False(items.Keys.ContainsKey(0x08));
    }

    [Fact]
    public void Files_that_say_nothing_are_absent_and_the_others_hold_what_firmware_parses()
    {
        FirmwareItemSet bare = FirmwareItems.Build(Configuration());
        Assert.Equal(
            ["etc/acpi/rsdp", "etc/acpi/tables", "etc/e820", "etc/smbios/smbios-anchor", "etc/smbios/smbios-tables", "etc/system-states", "etc/table-loader"],
            bare.Files.Keys);
        FirmwareItemSet items = FirmwareItems.Build(Configuration() with
        {
            BootOrder = [OpenFirmwarePath.VirtioBlock(new Bdf(0, 3, 0)), OpenFirmwarePath.AhciDisk(1, new Bdf(0, 0x1F, 2)),
                OpenFirmwarePath.Network(new Bdf(0, 2, 1), new Bdf(5, 0, 0))],
            BootMenuWait = TimeSpan.FromMilliseconds(300),
            BootFailWait = TimeSpan.FromSeconds(100),
            ReservedMemoryEnd = new GuestAddress(0x2_4000_0000),
            ExtraPciRoots = 2,
            PciMmio64Megabytes = 65536,
        });
        Assert.Equal(
            "/pci@i0cf8/scsi@3/disk@0,0\n/pci@i0cf8/pci8086,2922@1f,2/drive@1/disk@0\n/pci@i0cf8/pci-bridge@2,1/ethernet@0/ethernet-phy@0\0",
            Encoding.ASCII.GetString(File(items, "bootorder")));
        Assert.Equal([0x2C, 1], File(items, "etc/boot-menu-wait"));
        Assert.Equal(100_000u, BinaryPrimitives.ReadUInt32LittleEndian(File(items, "etc/boot-fail-wait")));
        Assert.Equal([0, 0, 0, 0x40, 2, 0, 0, 0], File(items, "etc/reserved-memory-end"));
        Assert.Equal([2, 0, 0, 0, 0, 0, 0, 0], File(items, "etc/extra-pci-roots"));
        Assert.Equal("65536"u8, File(items, "opt/ovmf/X-PciMmio64Mb"));
    }

    [Fact]
    public void A_kernel_comes_in_two_parts_that_make_the_file_but_for_what_the_boot_loader_fills_in()
    {
        byte[] image = SyntheticKernels.BzImage();
        byte[] archive = [.. Enumerable.Range(0, 10_000).Select(static i => (byte)(i * 7))];
        byte[] code = [0x55, 0xAA, 1, 9];
        using TemporaryFile kernelFile = new(image);
        using TemporaryFile initrdFile = new(archive);
        using TemporaryFile romFile = new(code);
        using KernelImage kernel = KernelImage.Open(kernelFile.Path);
        using BootFile initrd = BootFile.Open(initrdFile.Path, "initramfs");
        using BootFile rom = BootFile.Open(romFile.Path, "option ROM");
        FirmwareItemSet items = FirmwareItems.Build(Configuration() with
        {
            Kernel = new FirmwareKernel(kernel, initrd, "console=ttyS0"),
            OptionRoms = new Dictionary<string, BootFile> { [LinuxBootRom.Name] = rom },
            BootOrder = ["/pci@i0cf8/scsi@3/disk@0,0"],
        });
        byte[] setup = Key(items, 0x18);
        Assert.Equal(5 * 512, setup.Length);
        Assert.Equal((uint)setup.Length, U32(Key(items, 0x17), 0));
        byte[] rest = Key(items, 0x11);
        Assert.Equal((uint)rest.Length, U32(Key(items, 0x08), 0));
        Assert.Equal(archive, Key(items, 0x12));
        Assert.Equal("console=ttyS0\0"u8, Key(items, 0x15));
        Assert.Equal(14u, U32(Key(items, 0x14), 0));

        // The header says where the option ROM is told to put the parts.
        uint initrdAt = U32(Key(items, 0x0A), 0);
        Assert.Equal(0u, initrdAt % 4096);
        Assert.InRange(initrdAt, 0x180_0000u, 0x7FFF_FFFFu - 10_000);
        Assert.Equal((initrdAt, 10_000u), (U32(setup, 0x218), U32(setup, 0x21C)));
        Assert.Equal(U32(Key(items, 0x13), 0), U32(setup, 0x228));
        Assert.Equal(U32(Key(items, 0x13), 0) - U32(Key(items, 0x16), 0), 0x200u + (U32(setup, 0x224) & 0xFFFF));
        Assert.Equal(0x10_0000u, U32(Key(items, 0x07), 0));
        Assert.Equal(0xFF, setup[0x210]);
        Assert.Equal(0xE1, setup[0x211]);

        byte[] whole = [.. setup, .. rest];
        foreach ((int at, int length) in new[] { (0x210, 2), (0x218, 8), (0x224, 2), (0x228, 4) })
        {
            image.AsSpan(at, length).CopyTo(whole.AsSpan(at));
        }

        Assert.Equal(image, whole);
        Assert.Equal(code, File(items, "genroms/linuxboot_dma.bin"));
        Assert.StartsWith("/rom@genroms/linuxboot_dma.bin\n/pci@", Encoding.ASCII.GetString(File(items, "bootorder")), StringComparison.Ordinal);
    }

    [Fact]
    public void A_kernel_that_firmware_cannot_start_is_refused_in_one_sentence()
    {
        using TemporaryFile kernelFile = new(SyntheticKernels.BzImage());
        using TemporaryFile elfFile = new(SyntheticKernels.Elf(wide: true));
        using TemporaryFile initrdFile = new(new byte[20 << 20]);
        using KernelImage kernel = KernelImage.Open(kernelFile.Path);
        using KernelImage elf = KernelImage.Open(elfFile.Path);
        using BootFile initrd = BootFile.Open(initrdFile.Path, "initramfs");
        Assert.Contains("ELF", Assert.Throws<ApertureException>(() => new FirmwareKernel(elf, null, "")).Message, StringComparison.Ordinal);
        Assert.Throws<ApertureException>(() => new FirmwareKernel(kernel, null, new string('a', 2048)));
        Assert.Throws<ApertureException>(() => new FirmwareKernel(kernel, null, "a\0b"));
        PlatformDescription small = SamplePlatforms.Get("no-ecam") with { Ram = [SamplePlatforms.Range(0, 32 << 20)] };
        FirmwareConfiguration tight = new() { Platform = () => small, Kernel = new FirmwareKernel(kernel, initrd, "") };
        Assert.Contains("more memory", Assert.Throws<ApertureException>(() => FirmwareItems.Build(tight)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_kernel_cut_short_under_the_guest_fails_its_read_and_nothing_else()
    {
        using TemporaryFile kernelFile = new(SyntheticKernels.BzImage());
        using KernelImage kernel = KernelImage.Open(kernelFile.Path);
        FirmwareItemSet items = FirmwareItems.Build(Configuration() with { Kernel = new FirmwareKernel(kernel, null, "") });
        using (FileStream file = new(kernelFile.Path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            file.SetLength(3000);
        }

        Assert.True(items.Keys[0x11].Read(0, new byte[100]));
        Assert.False(items.Keys[0x11].Read(400, new byte[100]));
    }

    [Fact]
    public void The_option_ROM_beside_the_firmware_comes_before_the_installed_one()
    {
        using TemporaryFolder folder = new();
        string rom = Path.Combine(folder.Path, LinuxBootRom.Name);
        System.IO.File.WriteAllBytes(rom, [0x55, 0xAA]);
        Assert.Equal(rom, LinuxBootRom.Find(Path.Combine(folder.Path, "bios.bin")));
    }

    private static uint U32(byte[] bytes, int at) =>
        at + 4 <= bytes.Length ? BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at)) : throw new ArgumentOutOfRangeException(nameof(at));
}
