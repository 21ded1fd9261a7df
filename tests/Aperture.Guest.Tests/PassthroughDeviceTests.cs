namespace Aperture.Guest.Tests;

/// <summary>A distribution's own kernel as the guest, where the prepared one serves the other tests; and a guest that moves a pinned BAR of a device.</summary>
public sealed class PassthroughDeviceTests
{
    [Fact]
    public async Task Passthrough_drive_works_in_Debian_s_own_cloud_kernel()
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            """
            bind-vfio 0000:05:00.0 >&2
            vm_kernel=$cloud_kernel limit=150
            step guest vm aperture.script=assigned --root-port id=rp0 --device vfio,host=0000:05:00.0,port=rp0
            """);
        PassthroughStep guest = lab["guest"];
        Assert.True(guest.ExitCode == 0, lab.All);
        Assert.Contains("cloud", Assert.Single(guest.Lines("up"))[1], StringComparison.Ordinal);
        Assert.Equal(PassthroughLab.PatternHash("labnvme1"), Assert.Single(guest.Lines("disk-read"))[2]);
        Assert.Equal("ok", Assert.Single(guest.Lines("disk-write"))[2]);
    }

    // The edu device, because no driver of the guest's has it. Its first register reads 0x010000ed. Debian's kernel lets a program read it.
    [Fact]
    public async Task Passthrough_BAR_pinned_at_the_host_s_address_stays_moves_or_ends_the_run_as_its_policy_says()
    {
        PassthroughLab lab = await PassthroughLab.RunAsync(
            """
            bind-vfio 0000:00:17.0 >&2
            vm_kernel=$cloud_kernel limit=150
            step host sed -n '1s/ .*//p' /sys/bus/pci/devices/0000:00:17.0/resource
            for policy in lock follow stop; do
                step $policy vm "aperture.script=relocate aperture.ids=1234:11e8 aperture.to=0@0xe9000000" \
                    --device vfio,host=0000:00:17.0,id=edu0,bars=all=host,policy=$policy
                step $policy-events cat $events
            done
            """);
        string pin = lab["host"].Output.Trim()[^8..];
        Assert.True(lab["lock"].ExitCode == 0, lab.All);
        Assert.Equal([pin, pin, "0x010000ED", "0xFFFFFFFF"], Assert.Single(lab["lock"].Lines("relocate"))[3..7]);
        Assert.Contains("\"event\":\"bar.move_refused\"", lab["lock-events"].Output, StringComparison.Ordinal);
        Assert.True(lab["follow"].ExitCode == 0, lab.All);
        Assert.Equal([pin, "e9000000", "0xFFFFFFFF", "0x010000ED"], Assert.Single(lab["follow"].Lines("relocate"))[3..7]);
        Assert.Contains("\"event\":\"pin.moved\"", lab["follow-events"].Output, StringComparison.Ordinal);
        Assert.True(lab["stop"].ExitCode == 3, lab.All);
        Assert.Contains($"edu0 (00:01.0) bar0 is pinned at 0x{pin}, and the guest gave it 0xe9000000 with decoding on", lab["stop"].Output,
            StringComparison.Ordinal);
    }
}
