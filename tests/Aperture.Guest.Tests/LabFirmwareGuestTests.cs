using System.Text.Json;

namespace Aperture.Guest.Tests;

/// <summary>Unmodified firmware starts an unmodified Debian kernel. Each test is one boot.</summary>
public sealed class LabFirmwareGuestTests
{
    private const string Ids = "aperture.ids=a9e7:0001";
    private const string SeaBios = "/usr/share/seabios/bios-256k.bin";
    private const string Device = "test,id=t0,addr=04.0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bar4=io:256";

    [Fact]
    public async Task An_i440fx_guest_boots_directly_and_reaches_a_device_on_its_conventional_bus()
    {
        GuestRun run = await GuestRun.BootAsync(Ids, "--machine", "i440fx", "--device", Device);
        IsWhole(run, "0x8086:0x1237");
        Assert.Contains(run.Lines("function"), f => f[1..3] is ["0000:00:01.3", "0x8086:0x7113"]);
    }

    [Theory]
    [InlineData("q35", "0x8086:0x29c0")]
    [InlineData("i440fx", "0x8086:0x1237")]
    public async Task SeaBIOS_starts_a_kernel_that_keeps_the_map_SeaBIOS_made(string machine, string bridge)
    {
        Assert.SkipUnless(File.Exists(SeaBios), "SeaBIOS is not installed (package seabios)");
        GuestRun run = await GuestRun.BootAsync(Ids, "--machine", machine, "--firmware", SeaBios, "--device", Device);
        IsWhole(run, bridge);
        string[] seen = [.. run.Lines("bar").Where(b => b[1] == "0000:00:04.0").Select(b => $"bar{b[2]} 0x{Convert.ToUInt64(b[3], 16):x}").Order()];
        Assert.Equal(3, seen.Length);
        Assert.Equal(seen, DecodedAtTheEnd(run, "t0"));
    }

    [Fact]
    public async Task Pinned_BARs_stay_through_SeaBIOS_and_Linux_which_moves_the_one_that_SeaBIOS_put_on_a_pin()
    {
        Assert.SkipUnless(File.Exists(SeaBios), "SeaBIOS is not installed (package seabios)");
        GuestRun run = await GuestRun.BootAsync(
            Ids, "--firmware", SeaBios, "--root-port", "id=rp0",
            "--device", "test,id=a,port=rp0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bar4=io:256,bars=bar0@0xe0000000,bar2@0x100000000000,bar4@0x3000",
            "--device", "test,id=b,addr=05.0,bar0=mem32:1M:trap,bars=bar0@0xfeb00000",
            "--device", "test,id=c,addr=06.0,bar0=mem32:1M:trap");
        IsWhole(run, "0x8086:0x29c0");
        Assert.Equal(["bar0 0xe0000000", "bar2 0x100000000000", "bar4 0x3000"], DecodedAtTheEnd(run, "a"));
        Assert.Equal(["bar0 0xfeb00000"], DecodedAtTheEnd(run, "b"));
        Assert.NotEqual("bar0 0xfeb00000", Assert.Single(DecodedAtTheEnd(run, "c")));
    }

    // The guest came up by itself, found the board, reached every BAR of every test device, and powered off.
    private static void IsWhole(GuestRun run, string bridge)
    {
        Assert.Equal(0, run.ExitCode);
        Assert.NotEmpty(run.EventsOf("guest.poweroff"));
        Assert.Contains(run.Lines("function"), f => f[1..3] is ["0000:00:00.0", var ids] && ids == bridge);
        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
    }

    private static string[] DecodedAtTheEnd(GuestRun run, string function)
    {
        SortedDictionary<string, string> decoded = [];
        foreach (JsonElement item in run.Events.Where(e => e.GetProperty("event").GetString() == "bar.decoded" && e.GetProperty("function").GetString() == function))
        {
            decoded[item.GetProperty("bar").GetString()!] = item.GetProperty("address").GetString()!;
        }

        return [.. decoded.Select(b => $"{b.Key} {b.Value}")];
    }
}
