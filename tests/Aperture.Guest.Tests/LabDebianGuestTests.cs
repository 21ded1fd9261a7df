using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>Unmodified Debian kernels as guests. Each test is one boot, so that a failure names its cause.</summary>
public sealed class LabDebianGuestTests
{
    private const string Ids = "aperture.ids=a9e7:0001";

    [Fact]
    public async Task A_guest_sees_pinned_BARs_of_every_kind_where_the_user_put_them_and_all_of_them_work()
    {
        GuestRun run = await GuestRun.BootAsync(
            Ids, "--root-port", "id=rp0", "--switch", "id=sw0,port=rp0,downstream=2",
            "--device", "test,id=t0,port=sw0.0,bar0=mem32:1M:trap,bar2=mem64p:64G:ram,bar4=io:256,rom=64K,msix=4,"
                + "bars=bar0@0xe8000000,bar2@0x6b8000000000,bar4@0x3000,rom@0xe8100000",
            "--device", "test,id=t1,port=sw0.1,bar0=mem32p:1M:ram,bar1=mem32:64K:trap,bar2=mem64:1M:ram,msi=4,fixed-bars=bar0@0xd0000000,bar2@0xd1000000");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(["touched", "14", "0"], Assert.Single(run.Lines("touched")));
        string[] bars = [.. run.Lines("bar").Select(b => $"{b[1]} {b[2]} {b[3]}")];
        Assert.Contains("0000:03:00.0 0 0x00000000e8000000", bars);
        Assert.Contains("0000:03:00.0 2 0x00006b8000000000", bars);
        Assert.Contains("0000:03:00.0 4 0x0000000000003000", bars);
        Assert.Contains("0000:03:00.0 6 0x00000000e8100000", bars);
        Assert.Contains("0000:04:00.0 0 0x00000000d0000000", bars);
        Assert.Contains("0000:04:00.0 2 0x00000000d1000000", bars);
        Assert.NotEmpty(run.EventsOf("guest.poweroff"));
    }

    [Fact]
    public async Task A_guest_cannot_move_a_pinned_BAR_but_can_size_it_and_can_move_the_others()
    {
        GuestRun run = await GuestRun.BootAsync(
            $"{Ids} aperture.script=move",
            "--device", "test,id=t0,addr=04.0,bar0=mem32:1M:trap,bar1=mem32:1M:trap,bar2=mem64p:256M:ram,bars=bar0@0xe8000000,bar2@0x6b8000000000");
        Assert.Equal(0, run.ExitCode);
        Dictionary<string, string[]> moves = run.Lines("move").ToDictionary(m => m[2]);
        Assert.Equal(["e8000000", "f8000000", "e8000000", "fff00000"], moves["0"][3..]);
        Assert.Equal(moves["1"][4], moves["1"][5]);
        Assert.Equal("fff00000", moves["1"][6]);
        Assert.Equal(["00006b80", "10006b80", "00006b80", "ffffffff"], moves["3"][3..]);
        Assert.Contains(run.EventsOf("bar.move_refused"), e => e.GetProperty("bar").GetString() == "bar0"
            && e.GetProperty("asked").GetString() == "0xf8000000");
    }

    [Fact]
    public async Task A_kernel_that_reassigns_resources_finds_pinned_BARs_where_they_are()
    {
        GuestRun run = await GuestRun.BootAsync(
            $"{Ids} pci=realloc", "--root-port", "id=rp0",
            "--device", "test,id=t0,port=rp0,bar0=mem32:1M:trap,bar2=mem64p:1G:ram,msix=2,bars=bar0@0xe8000000,bar2@0x6b8000000000,policy=stop");
        Assert.Equal(0, run.ExitCode);
        Assert.All(run.EventsOf("map.verified"), e => Assert.Equal(0, e.GetProperty("count").GetInt32()));
        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
        Assert.Contains(run.Lines("touch"), t => t[2] == "2" && t[4] == "0x00006b8000000000");
    }

    [Fact]
    public async Task A_guest_that_moves_a_locked_BAR_finds_it_at_its_pin()
    {
        GuestRun run = await RelocateAsync("lock");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(["relocate", "0000:00:04.0", "0", "e8000000", "e8000000", "0x52545041", "0xFFFFFFFF"], Assert.Single(run.Lines("relocate "))[..7]);
        Assert.Contains(run.EventsOf("bar.move_refused"), e => e.GetProperty("asked").GetString() == "0xe9000000");
    }

    [Fact]
    public async Task A_guest_that_moves_a_BAR_whose_policy_is_follow_finds_it_where_it_put_it_and_the_map_says_who_moved_it()
    {
        GuestRun run = await RelocateAsync("follow");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(["relocate", "0000:00:04.0", "0", "e8000000", "e9000000", "0xFFFFFFFF", "0x52545041"], Assert.Single(run.Lines("relocate "))[..7]);
        System.Text.Json.JsonElement moved = Assert.Single(run.EventsOf("pin.moved"));
        Assert.Equal(("0xe8000000", "0xe9000000"), (moved.GetProperty("old").GetString(), moved.GetProperty("new").GetString()));
        System.Text.Json.JsonElement end = Assert.Single(run.EventsOf("map.verified"), e => e.GetProperty("when").GetString() == "end");
        System.Text.Json.JsonElement difference = Assert.Single(end.GetProperty("differences").EnumerateArray());
        Assert.Equal("t0 bar0", difference.GetProperty("subject").GetString());
        Assert.StartsWith("the guest wrote 0xe9000000 to register 0x10", difference.GetProperty("moved_by").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_that_moves_a_BAR_whose_policy_is_stop_is_stopped_with_one_sentence()
    {
        GuestRun run = await RelocateAsync("stop");
        Assert.Equal(3, run.ExitCode);
        Assert.Empty(run.Lines("relocate "));
        Assert.Contains("t0 (00:04.0) bar0 is pinned at 0xe8000000, and the guest gave it 0xe9000000 with decoding on", run.Error, StringComparison.Ordinal);
    }

    private static Task<GuestRun> RelocateAsync(string policy) => GuestRun.BootAsync(
        $"{Ids} aperture.script=relocate aperture.to=0@0xe9000000", "--device",
        $"test,id=t0,addr=04.0,bar0=mem32:1M:trap,bars=bar0@0xe8000000,policy={policy}");

    [Fact]
    public async Task Every_processor_asked_for_comes_up()
    {
        GuestRun run = await GuestRun.BootAsync("aperture.script=none", "--cpus", "boot=3");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal("3", Assert.Single(run.Lines("up"))[3]);
    }

    [Fact]
    public async Task A_guest_that_reboots_starts_again_with_its_BARs_in_place_unless_told_to_end()
    {
        GuestRun run = await GuestRun.BootAsync(
            "aperture.script=demo aperture.end=0x6b8000001000", "--device", "test,id=t0,addr=04.0,bar2=mem64p:256M:ram,bars=bar2@0x6b8000000000");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal(2, run.Lines("up").Count);
        Assert.Single(run.EventsOf("guest.reset"));
        Assert.Equal(2, run.Lines("bar").Count(b => b[3] == "0x00006b8000000000"));

        GuestRun once = await GuestRun.BootAsync("aperture.script=none aperture.end=reboot", "--no-reboot");
        Assert.Equal(0, once.ExitCode);
        Assert.Single(once.Lines("up"));
    }

    [Fact]
    public async Task RAM_continues_above_4_GiB_and_goes_around_a_BAR_that_is_pinned_there()
    {
        GuestRun run = await GuestRun.BootAsync(
            Ids, "--memory", "2200M", "--mmio32-window", "0x80000000:1G",
            "--device", "test,id=t0,addr=04.0,bar0=mem32:1M:trap,bar2=mem64p:64M:ram,bars=bar2@0x104000000");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains("00100000-7fffffff : System RAM", run.Serial, StringComparison.Ordinal);
        Assert.Contains("100000000-103ffffff : System RAM", run.Serial, StringComparison.Ordinal);
        Assert.Contains("108000000-10d7fffff : System RAM", run.Serial, StringComparison.Ordinal);
        Assert.Contains(run.Lines("touch"), t => t[2] == "2" && t[4] == "0x0000000104000000" && t[6] == "ok");
    }

    [Fact]
    public async Task An_uncompressed_kernel_starts_through_its_PVH_entry()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(artifacts.HasOuter && artifacts.HasGuest, $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare");
        Assert.SkipUnless(IsElf(artifacts.OuterKernel), "the lab's own kernel is a bzImage here: ./aperture lab prepare kernel builds an ELF with a PVH note");
        GuestRun run = await GuestRun.KernelAsync(artifacts.OuterKernel, artifacts.GuestInitramfs, "aperture.script=none", "--cpus", "boot=2");
        Assert.Equal(0, run.ExitCode);
        Assert.Equal("2", Assert.Single(run.Lines("up"))[3]);
        Assert.NotEmpty(run.EventsOf("guest.poweroff"));
    }

    private static bool IsElf(string path)
    {
        using FileStream file = File.OpenRead(path);
        Span<byte> magic = stackalloc byte[4];
        file.ReadExactly(magic);
        return magic.SequenceEqual("\u007fELF"u8);
    }
}
