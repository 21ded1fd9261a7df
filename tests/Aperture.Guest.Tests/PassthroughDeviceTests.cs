namespace Aperture.Guest.Tests;

/// <summary>A distribution's own kernel as the guest; the prepared one, which has drivers for more of the lab's devices, serves the other tests.</summary>
public sealed class PassthroughDeviceTests
{
    [Fact]
    public async Task Passthrough_drive_works_in_Debian_s_own_cloud_kernel()
    {
        Assert.SkipUnless(PassthroughLab.Missing is null, PassthroughLab.Missing ?? "");
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
}
