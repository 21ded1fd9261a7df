namespace Aperture.Guest.Tests;

/// <summary>The explicit tests of Aperture.Vfio.Tests, which need a real device, with the lab's edu.</summary>
public sealed class LabVfioTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(4);

    [Fact]
    public async Task The_tests_of_VFIO_with_a_real_device_pass_with_the_lab_s()
    {
        Assert.SkipUnless(PassthroughLab.Missing is null, PassthroughLab.Missing ?? "");
        string runner = AppContext.BaseDirectory.Replace("Aperture.Guest.Tests", "Aperture.Vfio.Tests", StringComparison.Ordinal) + "Aperture.Vfio.Tests";
        Assert.True(File.Exists(runner), $"{runner} was not built");
        string[] tests = ["-noLogo", "-noColor", "-explicit", "only", "-class", "Aperture.Vfio.Tests.LabDeviceTests"];
        LabJob job = await SharedLab.RunAsync($"bind-vfio 0000:00:17.0 >&2 || exit 3\n{Checkout.Command([runner, .. tests])}", Limit);
        Assert.True(job.ExitCode == 0, job.Output + job.Error);
        Assert.Contains("Total: 3, Errors: 0, Failed: 0,", job.Output, StringComparison.Ordinal);
    }
}
