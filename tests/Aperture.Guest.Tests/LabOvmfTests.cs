using System.Text.Json;

namespace Aperture.Guest.Tests;

/// <summary>Debian's OVMF, unmodified, and what it starts. Each test reads what the guest printed.</summary>
public sealed class LabOvmfTests
{
    /// <summary>The builds of OVMF.</summary>
    public static TheoryData<string> Builds { get; } = new(OvmfImage.For32Bit, OvmfImage.For64Bit);

    [Theory]
    [MemberData(nameof(Builds))]
    public async Task OVMF_reaches_its_shell_and_stores_its_variables_in_the_flash_bank(string build)
    {
        FirmwareRun run = await OvmfImage.Find(build).BootAsync("Shell>");
        Assert.Contains("UEFI Interactive Shell", run.Serial, StringComparison.Ordinal);
        Assert.Contains(run.EventsOf("slot.removed"), e => e.GetProperty("region").GetString() == "flash-variables");
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public async Task OVMF_as_one_image_reaches_its_shell_without_a_flash_bank(string build)
    {
        FirmwareRun run = await OvmfImage.Find(build).BootUnifiedAsync("Shell>");
        Assert.Contains("UEFI Interactive Shell", run.Serial, StringComparison.Ordinal);
        Assert.DoesNotContain(run.EventsOf("slot.added"), e => e.GetProperty("region").GetString() == "flash-variables");
        Assert.Contains(run.EventsOf("slot.added"), e => e.GetProperty("region").GetString() == "firmware"
            && e.GetProperty("address").GetString() == "0xffc00000");
    }

    [Theory]
    [InlineData(OvmfImage.For32Bit, "q35", "port=rp0")]
    [InlineData(OvmfImage.For32Bit, "i440fx", "addr=05.0")]
    [InlineData(OvmfImage.For64Bit, "q35", "port=rp0")]
    [InlineData(OvmfImage.For64Bit, "i440fx", "addr=05.0")]
    public async Task Linux_under_OVMF_reads_every_BAR_where_Aperture_decodes_it(string build, string board, string place)
    {
        string[] port = board == "q35" ? ["--root-port", "id=rp0"] : [];
        FirmwareRun run = await LinuxAsync(build, ["--machine", board, .. port, "--device", $"test,id=t0,{place},bar0=mem32:1M:trap,bar2=mem64p:256M:ram"]);
        string[] read = [.. run.Lines("bar").Select(b => $"{b[2]} {b[3]}")];
        foreach (string bar in (string[])["bar0", "bar2"])
        {
            JsonElement decoded = run.EventsOf("bar.decoded")
                .Last(e => e.GetProperty("function").GetString() == "t0" && e.GetProperty("bar").GetString() == bar);
            ulong address = Convert.ToUInt64(decoded.GetProperty("address").GetString(), 16);
            Assert.Contains($"{bar[3]} 0x{address:x16}", read);
        }

        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public async Task Pinned_BARs_on_the_root_bus_and_behind_a_port_follow_OVMF_and_are_the_plan_s_for_LinuxAsync(string build) =>
        PinnedMachine.AssertPinsTakenOver(await LinuxAsync(build, [.. PinnedMachine.Options]));

    [Fact]
    public async Task Pins_that_always_hold_on_the_root_bus_and_behind_a_port_survive_OVMF_and_then_LinuxAsync() =>
        PinnedMachine.AssertPinsHeld(await LinuxAsync(OvmfImage.For32Bit, ["--pins", "always", .. PinnedMachine.Options]));

    [Fact]
    public async Task What_OVMF_puts_on_a_pin_that_always_holds_does_not_answer_until_Linux_has_moved_it()
    {
        FirmwareRun run = await LinuxAsync(
            OvmfImage.For32Bit, "--pins", "always", "--device", "test,id=a,addr=05.0,bar0=mem32:1M:trap,bars=bar0@0x80000000", "--device",
            "test,id=b,addr=06.0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram");
        JsonElement refused = run.EventsOf("bar.refused")[0];
        Assert.Equal(("b", "bar2", "0x80000000", "Conflict"),
            (Text(refused, "function"), Text(refused, "bar"), Text(refused, "address"), Text(refused, "reason")));
        Dictionary<string, string> seen = run.Lines("bar").ToDictionary(b => $"{b[1]} {b[2]}", b => b[3]);
        Assert.Equal("0x0000000080000000", seen["0000:00:05.0 0"]);
        Assert.NotEqual("0x0000000080000000", seen["0000:00:06.0 2"]);
        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
    }

    [Fact]
    public async Task A_BAR_larger_than_the_low_hole_makes_32_bit_OVMF_place_nothing_and_Linux_then_places_everything()
    {
        FirmwareRun run = await LinuxAsync(
            OvmfImage.For32Bit, "--device", "test,id=a,addr=05.0,bar0=mem32:1M:trap,bar2=mem64p:8G:ram", "--device", "test,id=b,addr=06.0,bar0=mem32:1M:trap");
        Dictionary<string, ulong> seen = run.Lines("bar").Where(b => b[1] is "0000:00:05.0" or "0000:00:06.0")
            .ToDictionary(b => $"{b[1]} {b[2]}", b => Convert.ToUInt64(b[3], 16));
        Assert.Equal(3, seen.Count);
        foreach (JsonElement first in run.EventsOf("bar.decoded").Where(e => Text(e, "function") is "a" or "b")
            .DistinctBy(e => $"{Text(e, "function")} {Text(e, "bar")}"))
        {
            // The first place of each is Linux's: OVMF switched none of them on.
            Assert.Equal(seen[$"0000:{Text(first, "bdf")} {Text(first, "bar")![3]}"], Convert.ToUInt64(Text(first, "address"), 16));
        }

        Assert.True(seen["0000:00:05.0 2"] >= 1UL << 32);
        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public async Task OVMF_keeps_free_behind_an_empty_port_what_the_port_asks_for(string build)
    {
        FirmwareRun run = await LinuxAsync(build, "--root-port", "id=rp0,memory=32M,prefetchable=64M,io=8K,buses=2");
        Assert.Equal([0x2000UL, 32 << 20, 64 << 20], run.Lines("bar").Where(b => b[1] == "0000:00:01.0").OrderBy(b => b[2])
            .Select(b => Convert.ToUInt64(b[4], 16) - Convert.ToUInt64(b[3], 16) + 1));
        string config = Assert.Single(run.Lines("config"), c => c[1] == "0000:00:01.0")[2];
        Assert.Equal("000103", config[(0x18 * 2)..(0x1B * 2)]); // primary, secondary and subordinate bus
    }

    [Theory]
    [MemberData(nameof(Builds))]
    public async Task OVMF_boots_the_disk_that_SeaBIOS_boots_to_a_login_prompt(string build)
    {
        FirmwareRun run = await OvmfImage.Find(build)
            .BootAsync("login:", "--device", $"disk,file={FirmwareRun.Prepared("grub-disk.img")},snapshot=on,bootindex=0");
        Assert.Contains("APERTURE grub efi", run.Serial, StringComparison.Ordinal);
        Assert.Contains("APERTURE up ", run.Serial, StringComparison.Ordinal);
    }

    // The highest eighth of 39 bits, of which OVMF believes so few on this processor only because CPUID says them twice (0x80000008 EAX 7:0 and 23:16).
    [Fact]
    public async Task A_64_GiB_BAR_lies_where_the_window_of_64_bit_OVMF_begins()
    {
        FirmwareRun run = await OvmfImage.Find(OvmfImage.For64Bit)
            .BootAsync("Shell>", "--phys-bits", "39", "--device", "test,id=b,addr=06.0,bar0=mem64p:64G:ram");
        Assert.Equal("0x7000000000", Text(run.EventsOf("bar.decoded").Last(e => Text(e, "function") == "b"), "address"));
    }

    // With the 48 bits of the lab's processor it would need half a GiB of page tables, which is all there is.
    [Fact]
    public async Task OVMF_that_maps_in_small_pages_reaches_its_shell_with_little_RAM_and_holds_a_64_GiB_BAR()
    {
        FirmwareRun run = await OvmfImage.FindInSmallPages().BootAsync("Shell>", "--device", "test,id=b,addr=06.0,bar0=mem64p:64G:ram");
        Assert.Equal("0x1c000000000", Text(run.EventsOf("bar.decoded").Last(e => Text(e, "function") == "b"), "address"));
    }

    private static Task<FirmwareRun> LinuxAsync(string build, params string[] arguments) => OvmfImage.Find(build).BootAsync(
        "APERTURE done",
        [.. arguments, .. FirmwareRun.Kernel(PinnedMachine.KernelOptions)]);

    private static string? Text(JsonElement e, string name) => e.GetProperty(name).GetString();
}
