using System.Diagnostics;

namespace Aperture.Emission.Tests;

/// <summary>What a shell makes of the scripts: the monitor's name is taken by a program that prints its arguments.</summary>
public class ShellTests
{
    [Theory]
    [InlineData("qemu", "qemu-system-x86_64")]
    [InlineData("cloud-hypervisor", "cloud-hypervisor")]
    [InlineData("openvmm", "openvmm")]
    public async Task A_script_passes_hostile_values_on_as_they_are(string monitor, string program)
    {
        Assert.SkipUnless(File.Exists("/bin/bash"), "there is no /bin/bash");
        const string Hostile = "a b'c\"$(touch pwned)`id`;&|>x\\";
        using TemporaryFolder folder = new();
        folder.Executable(program, "#!/bin/bash\nprintf '%s\\n' \"$@\"\n");
        EmissionPlan plan = Samples.Everything() with { HostAddresses = new Dictionary<string, string> { ["gpu 0"] = Hostile, ["nic0"] = Hostile } };
        string script = folder.Executable("script", Emitter.Emit(monitor, plan));

        using Process shell = Process.Start(new ProcessStartInfo("/bin/bash", [script, "last argument"])
        {
            RedirectStandardOutput = true,
            WorkingDirectory = folder.Path,
            Environment = { ["PATH"] = folder.Path },
        })!;
        string output = await shell.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await shell.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.Equal(0, shell.ExitCode);
        Assert.Equal(2, output.Split('\n').Count(line => line.Contains(Hostile, StringComparison.Ordinal)));
        Assert.EndsWith("last argument\n", output);
        Assert.False(File.Exists(Path.Combine(folder.Path, "pwned")));
    }
}
