using System.Text.Json;

namespace Aperture.Guest.Tests;

/// <summary>
/// A machine with pinned BARs of every kind on the root bus and behind a port, for firmware and then Linux to enumerate. That of c is where OVMF has its ECAM
/// window.
/// </summary>
internal static class PinnedMachine
{
    /// <summary>What the guest's kernel needs on its command line.</summary>
    public const string KernelOptions = $"{GuestRun.KernelOptions} aperture.ids=a9e7:0001";

    private static readonly string[] Pinned = ["a bar0", "a bar2", "b bar0", "b bar2", "b bar4", "c bar0"];

    /// <summary>The options that make its ports and devices.</summary>
    public static IReadOnlyList<string> Options { get; } =
    [
        "--root-port", "id=rp0", "--root-port", "id=rp1",
        "--device", "test,id=a,addr=05.0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bars=bar0@0xd8000000,bar2@0xb00000000",
        "--device", "test,id=b,port=rp1,bar0=mem32:1M:trap,bar1=mem32:64K:trap,bar2=mem64p:256M:ram,bar4=io:256,"
            + "bars=bar0@0xd0300000,bar2@0xc00000000,bar4@0x9000",
        "--device", "test,id=c,addr=06.0,bar0=mem32:1M:trap,bars=bar0@0xe8000000",
    ];

    /// <summary>
    /// The firmware had each pinned BAR where it wanted it, and answered there; from the handover on Linux read every pin in its place and found all BARs
    /// working, and the machine was as planned.
    /// </summary>
    public static void AssertPinsTakenOver(FirmwareRun run)
    {
        AssertPinned(run);
        Assert.Empty(run.EventsOf("bar.move_refused"));
        JsonElement handover = Assert.Single(run.EventsOf("handover"));
        List<JsonElement> moved = [.. handover.GetProperty("bars").EnumerateArray().Where(b => b.GetProperty("pinned").GetBoolean())];
        Assert.Equal(Pinned, moved.Select(b => $"{Text(b, "function")} {Text(b, "bar")}").Order());
        foreach (JsonElement bar in moved)
        {
            string firmware = Text(bar, "firmware");
            Assert.NotEqual(firmware, Text(bar, "address"));
            Assert.True(firmware == "0x0" || run.EventsOf("bar.decoded").Any(e => Text(e, "function") == Text(bar, "function")
                && Text(e, "bar") == Text(bar, "bar") && Text(e, "address") == firmware), $"{bar} never answered where the firmware put it");
        }

        JsonElement verified = Assert.Single(run.EventsOf("map.verified"), e => Text(e, "when") == "boot");
        Assert.True(verified.GetProperty("handed_over").GetBoolean());
        Assert.Equal(0, verified.GetProperty("count").GetInt32());
    }

    /// <summary>Linux, the last to look, read every pin in its place and found all BARs working; the firmware had asked each pin to go elsewhere.</summary>
    public static void AssertPinsHeld(FirmwareRun run)
    {
        AssertPinned(run);
        string[] asked = [.. run.EventsOf("bar.move_refused").Select(e => $"{Text(e, "function")} {Text(e, "bar")}").Distinct().Order()];
        Assert.Equal(Pinned, asked);
    }

    private static void AssertPinned(FirmwareRun run)
    {
        Dictionary<string, string> seen = run.Lines("bar").ToDictionary(b => $"{b[1]} {b[2]}", b => b[3]);
        Assert.Equal("0x00000000d8000000", seen["0000:00:05.0 0"]);
        Assert.Equal("0x0000000b00000000", seen["0000:00:05.0 2"]);
        Assert.Equal("0x00000000d0300000", seen["0000:02:00.0 0"]);
        Assert.Equal("0x0000000c00000000", seen["0000:02:00.0 2"]);
        Assert.Equal("0x0000000000009000", seen["0000:02:00.0 4"]);
        Assert.Equal("0x00000000e8000000", seen["0000:00:06.0 0"]);
        Assert.Equal(["touched", "12", "0"], Assert.Single(run.Lines("touched")));
    }

    private static string Text(JsonElement e, string name) => e.GetProperty(name).GetString()!;
}
