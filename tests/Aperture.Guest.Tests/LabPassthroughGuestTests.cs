using System.Text.Json;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>An unmodified Linux guest drives devices of the lab's machine, whose BARs it finds where that machine has them.</summary>
public sealed class LabPassthroughGuestTests
{
    private const string Drive = "0000:03:00.0";
    private const string Network = "0000:04:00.0";

    [Theory]
    [InlineData("container")]
    [InlineData("iommufd")]
    public async Task A_drive_and_a_network_controller_below_their_switch_work_at_the_hosts_addresses(string path)
    {
        GuestRun run = await Boot("--vfio", path, "--mirror", $"{Drive},{Network}");
        Assert.SkipWhen(run.Error.Contains("iommufd", StringComparison.Ordinal) && run.ExitCode == 3,
            "the lab's kernel has no iommufd: ./aperture lab prepare kernel builds one that has");
        Assert.True(run.ExitCode == 0, run.Error + run.Serial);
        Assert.Equal(["disk-write", Drive, "ok"], Assert.Single(run.Lines("disk-write")));
        Assert.Equal(["ping", Network, "ok"], Assert.Single(run.Lines("ping"))[..3]);
        Assert.All(run.Lines("vectors"), line => Assert.Equal("msix", line[2]));
        Assert.All(run.Lines("vectors"),
            line => Assert.True(int.Parse(line[4], System.Globalization.CultureInfo.InvariantCulture) > 0, string.Join(' ', line)));

        // What the guest's kernel has is what the plan pinned: the addresses of the emulated machine's own firmware and kernel.
        foreach (JsonElement decoded in run.EventsOf("bar.decoded").Where(e => e.GetProperty("function").GetString() is Drive or Network))
        {
            string bar = decoded.GetProperty("bar").GetString()![3..];
            ulong address = Convert.ToUInt64(decoded.GetProperty("address").GetString(), 16);
            string[] seen = Assert.Single(run.Lines("bar"), line => line[1] == decoded.GetProperty("function").GetString() && line[2] == bar);
            Assert.Equal(address, Convert.ToUInt64(seen[3], 16));
        }

        Assert.Equal(path, Assert.Single(run.EventsOf("vfio.path")).GetProperty("path").GetString());
        Assert.Equal([Drive, Network], run.EventsOf("vfio.opened").Select(e => e.GetProperty("host").GetString()).Order());
        Assert.All(run.EventsOf("bar.move_refused"), e => Assert.Fail(e.ToString()));
        if (path == "container")
        {
            Assert.Contains(run.EventsOf("p2p.mapped"), e => e.GetProperty("region").GetString()!.StartsWith(Network, StringComparison.Ordinal));
        }
    }

    private static async Task<GuestRun> Boot(params string[] options)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(artifacts.HasOuter && artifacts.HasPassthrough, $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare");
        return await GuestRun.KernelAsync(
            artifacts.PassthroughKernel, artifacts.PassthroughInitramfs, "aperture.script=assigned",
            ["--accel", "lab", "--lab-hardware", "passthrough", .. options]);
    }
}
