using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Aperture.TestPayloads;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Aperture.Machine.Tests.Guests;

/// <summary>Debian's SeaBIOS, unmodified, on local KVM; everything expected is something that it printed itself.</summary>
[Collection(LocalKvm.Name)]
public partial class SeaBiosTests
{
    private const string NoDisk = "No bootable device.";

    private static readonly string[] Devices =
    [
        "--device test,id=a,addr=03.0,bar0=mem32:1M:trap,bar2=mem64p:16M:ram,bar4=io:256",
        "--device test,id=b,addr=04.0,bar0=mem32:64K:ram,bar1=mem32p:2M:ram",
    ];

    [GeneratedRegex("PCI: map device bdf=([0-9a-f]{2}):([0-9a-f]{2})\\.([0-7])  bar ([0-6]), addr ([0-9a-f]+), size ([0-9a-f]+)")]
    private static partial Regex MapLine();

    [Theory]
    [InlineData("q35", "Running on QEMU (q35)")]
    [InlineData("i440fx", "Running on QEMU (i440fx)")]
    public void SeaBIOS_comes_to_its_boot_menu_and_its_boot_attempt(string machine, string found)
    {
        using FirmwareGuest guest = FirmwareGuest.RunUntil(FirmwareGuest.SeaBios, NoDisk, $"--machine {machine}", "--boot menu=on,wait=100");
        Assert.Contains(found, guest.Log);
        Assert.Contains("Press ESC for boot menu.", guest.Log);
        Assert.Contains("Running on KVM", guest.Log);
        Assert.Contains(guest.Log, line => line.StartsWith("Booting from", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("q35")]
    [InlineData("i440fx")]
    public void Every_BAR_that_SeaBIOS_says_it_mapped_decodes_there_and_no_other(string machine)
    {
        using FirmwareGuest guest = FirmwareGuest.RunUntil(FirmwareGuest.SeaBios, NoDisk, [$"--machine {machine}", "--boot menu=on,wait=100", .. Devices]);
        string[] said = [.. guest.Log.Select(line => MapLine().Match(line)).Where(m => m.Success).Select(Said)];
        Assert.Equal(5, said.Length);
        Assert.Equal(said.Order(), Decoded(guest.Events).Order());
    }

    [Fact]
    public void SeaBIOS_keeps_free_behind_an_empty_port_what_the_port_asks_for()
    {
        using FirmwareGuest guest = FirmwareGuest.RunUntil(
            FirmwareGuest.SeaBios, NoDisk, "--root-port id=rp0,memory=32M,prefetchable=64M,io=8K,buses=3");
        Assert.Contains("PCI: secondary bus 1 size 00002000 type io", guest.Log);
        Assert.Contains("PCI: secondary bus 1 size 02000000 type mem", guest.Log);
        Assert.Contains("PCI: secondary bus 1 size 04000000 type prefmem", guest.Log);
        Assert.Contains("PCI: QEMU resource reserve cap: bus = 3", guest.Log);
    }

    [Fact]
    public void Pins_that_always_hold_keep_their_place_and_answer_through_the_windows_that_SeaBIOS_moved()
    {
        using FirmwareGuest guest = FirmwareGuest.RunUntil(
            FirmwareGuest.SeaBios, NoDisk, "--boot menu=on,wait=100", "--root-port id=rp0", "--pins always",
            "--device test,id=a,port=rp0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bar4=io:256,bars=bar0@0xe0000000,bar2@0x100000000000,bar4@0x3000",
            "--device test,id=b,addr=05.0,bar0=mem32:1M:trap,bars=bar0@0xfeb00000",
            "--device test,id=c,addr=06.0,bar0=mem32:1M:trap");
        HashSet<string> decoded = Decoded(guest.Events);
        Assert.Superset(new HashSet<string> { "01:00.0 bar0 0xe0000000 0x100000", "01:00.0 bar2 0x100000000000 0x10000000", "01:00.0 bar4 0x3000 0x100",
            "00:05.0 bar0 0xfeb00000 0x100000" }, decoded);

        // SeaBIOS does not see that they stayed: it says it put them elsewhere, and gives c the place of b, where c does not answer.
        Assert.Contains(guest.Log, line => line.StartsWith("PCI: map device bdf=00:06.0  bar 0, addr feb00000", StringComparison.Ordinal));
        Assert.Equal(4, guest.Events.Where(e => e.GetProperty("event").GetString() == "bar.move_refused")
            .Select(e => $"{e.GetProperty("bdf")} {e.GetProperty("bar")}").Distinct().Count());
        JsonElement refused = Assert.Single(guest.Events, e => e.GetProperty("event").GetString() == "bar.refused");
        Assert.Equal(("00:06.0", "Conflict"), (refused.GetProperty("bdf").GetString(), refused.GetProperty("reason").GetString()));
    }

    [Fact]
    public void Pins_wait_while_SeaBIOS_has_the_machine_so_that_all_it_says_it_mapped_answers_there()
    {
        using FirmwareGuest guest = FirmwareGuest.RunUntil(
            FirmwareGuest.SeaBios, NoDisk, "--boot menu=on,wait=100", "--root-port id=rp0",
            "--device test,id=a,port=rp0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bar4=io:256,bars=bar0@0xe0000000,bar2@0x100000000000,bar4@0x3000",
            "--device test,id=b,addr=05.0,bar0=mem32:1M:trap,bars=bar0@0xfeb00000",
            "--device test,id=c,addr=06.0,bar0=mem32:1M:trap");
        string[] said = [.. guest.Log.Select(line => MapLine().Match(line)).Where(m => m.Success).Select(Said)];
        Assert.Equal(5, said.Length);
        Assert.Equal(said.Order(), Decoded(guest.Events).Order());
        Assert.DoesNotContain(guest.Events, e => e.GetProperty("event").GetString() is "bar.move_refused" or "bar.refused" or "handover");
    }

    [Fact]
    public void SeaBIOS_puts_BARs_above_4_GiB_behind_pins_that_always_hold()
    {
        using FirmwareGuest guest = FirmwareGuest.RunUntil(
            FirmwareGuest.SeaBios, NoDisk, "--boot menu=on,wait=100", "--pins always",
            "--device test,id=a,addr=05.0,bar2=mem64p:256M:ram,bars=bar2@0x100000000",
            "--device test,id=b,addr=06.0,bar2=mem64p:4G:ram");
        Assert.Superset(new HashSet<string> { "00:05.0 bar2 0x100000000 0x10000000", "00:06.0 bar2 0x200000000 0x100000000" }, Decoded(guest.Events));
        Assert.DoesNotContain(guest.Events, e => e.GetProperty("event").GetString() == "bar.refused");
    }

    [Theory]
    [InlineData("q35")]
    [InlineData("i440fx")]
    public void SeaBIOS_runs_its_video_BIOS_and_starts_the_boot_sector_of_a_disk(string machine)
    {
        using TemporaryFolder scratch = new();
        string folder = scratch.Path;
        string disk = Path.Combine(folder, "disk.img");
        byte[] image = new byte[1 << 20];
        Assembler code = new(16);
        code.mov(dx, 0x402);
        foreach (byte letter in "sector ran\n"u8)
        {
            code.mov(al, letter);
            code.@out(dx, al);
        }

        code.hlt();
        RomImage.Assemble(code, 0x7C00).CopyTo(image, 0);
        (image[510], image[511]) = (0x55, 0xAA);
        File.WriteAllBytes(disk, image);
        using FirmwareGuest guest = FirmwareGuest.RunUntil(
            FirmwareGuest.SeaBios, "sector ran", $"--machine {machine}", "--device vga", $"--device disk,file={disk},bootindex=0,readonly=on");
        Assert.Contains(guest.Log, line => line.StartsWith("Start SeaVGABIOS", StringComparison.Ordinal));
        Assert.Contains(guest.Log, line => line.StartsWith("VBE DISPI: bdf", StringComparison.Ordinal));
        Assert.Contains("Booting from Hard Disk...", guest.Log);
    }

    private static string Said(Match line)
    {
        string Group(int index) => line.Groups[index].Value;
        ulong Number(int index) => ulong.Parse(Group(index), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
        return $"{Group(1)}:{Group(2)}.{Group(3)} bar{Group(4)} 0x{Number(5):x} 0x{Number(6):x}";
    }

    /// <summary>What decodes at the end, by the events alone.</summary>
    private static HashSet<string> Decoded(IReadOnlyList<JsonElement> events)
    {
        HashSet<string> decoded = [];
        foreach (JsonElement item in events)
        {
            string Text(string name) => item.GetProperty(name).GetString()!;
            switch (Text("event"))
            {
                case "bar.decoded":
                    decoded.Add($"{Text("bdf")} {Text("bar")} {Text("address")} {Text("size")}");
                    break;
                case "bar.undecoded":
                    decoded.Remove($"{Text("bdf")} {Text("bar")} {Text("address")} {Text("size")}");
                    break;
                default:
                    break;
            }
        }

        return decoded;
    }
}
