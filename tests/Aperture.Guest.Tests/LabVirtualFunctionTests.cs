using System.Globalization;

namespace Aperture.Guest.Tests;

/// <summary>An unmodified Linux enables the virtual functions of a test device through its own driver for that (pci-pf-stub).</summary>
public sealed class LabVirtualFunctionTests
{
    private const int Vfs = 9;
    private const int Stride = 3;
    private const int FirstOffset = 4;
    private const ulong Share = 0x4000;

    [Fact]
    public async Task Linux_enables_VFs_behind_a_port_at_their_routing_ids_and_reaches_each_ones_memory()
    {
        GuestRun run = await GuestRun.BootAsync(
            $"aperture.script=vfs aperture.ids=a9e7:0001 aperture.watch={Vfs}", "--root-port", "id=rp0",
            "--device", $"test,id=nic,port=rp0,bar0=mem32:1M,vfs=12,vf-offset={FirstOffset},vf-stride={Stride},vf-bar0=mem64p:16K,vf-bar3=mem32:4K,"
                + "bars=vf-bar0@0x6b8000000000");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal([["vfs", "0000:01:00.0", $"{Vfs}", $"{Vfs}"], ["vfs", "0000:01:00.0", "0", "0"]], run.Lines("vfs "));

        // The kernel names a routing id by bus, device and function, though below a port the last two are one number.
        string[] places = [.. Enumerable.Range(0, Vfs).Select(vf => FirstOffset + (vf * Stride)).Select(place => $"0000:01:{place >> 3:x2}.{place & 7}")];
        Assert.Equal(places.Select(place => $"0000:01:00.0 {place} 0xa9e7:0x0002"), run.Lines("vf ").Select(words => string.Join(' ', words[1..])));

        string[][] wide = [.. run.Lines("vf-bar").Where(words => words[2] == "0")];
        Assert.Equal(places, wide.Select(words => words[1]));
        foreach ((int vf, string[] words) in wide.Index())
        {
            ulong start = 0x6b80_0000_0000 + ((ulong)vf * Share);
            Assert.Equal([start, start + Share - 1], words[3..5].Select(Number));
            Assert.Equal([Pattern(0, (ulong)vf * Share), Pattern(0, ((ulong)(vf + 1) * Share) - 32)], words[5..7].Select(Number));
        }

        Assert.Equal(Vfs, run.Lines("vf-bar").Count(words => words[2] == "3"));
        Assert.All(run.EventsOf("map.verified"), e => Assert.Equal(0, e.GetProperty("count").GetInt32()));
        Assert.Contains(run.EventsOf("bar.decoded"), e => e.GetProperty("bar").GetString() == "vf-bar0"
            && e.GetProperty("size").GetString() == $"0x{Vfs * Share:x}");
    }

    // docs/test-device.md: what a word of a pattern BAR reads as; VF BARs are numbered from 7 on.
    private static ulong Pattern(int vfBar, ulong offset) => unchecked((uint)((offset >> 2) * 0x9E37_79B9_7F4A_7C15 >> 32) + ((uint)(7 + vfBar) * 0x85EB_CA6B));

    private static ulong Number(string text) => ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
