using Aperture.Lab.Hardware;

namespace Aperture.Lab.Tests;

/// <summary>The lab's devices as docs/lab.md lists them, and their way to vfio-pci.</summary>
public sealed class LabPassthroughTests
{
    private static readonly LabArtifacts Artifacts = LabArtifacts.Locate();

    private static async Task<LabResult> RunAsync(string script, bool iommu, params string[] functions)
    {
        Assert.SkipUnless(Artifacts.HasOuter, $"the lab's kernel is not in {Artifacts.Folder}: run ./aperture lab prepare");
        LabEmulator emulator = LabEmulator.Locate(Artifacts);
        Assert.SkipUnless(emulator.Has("nvme"), $"{emulator.Program} does not start");
        LabRun run = new("/bin/sh", ["-c", script])
        {
            Hardware = LabHardware.Passthrough,
            Iommu = iommu,
            VfioFunctions = functions,
            Timeout = TimeSpan.FromMinutes(2),
            WorkingDirectory = "/",
        };
        return await new LabRunner(Artifacts, Console.Error).CaptureAsync(run, cancellation: TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Lab_Passthrough_devices_are_where_the_documentation_says_and_vfio_pci_takes_them()
    {
        LabResult result = await RunAsync(
            """
            for device in /sys/bus/pci/devices/*; do
                echo "${device##*/} $(cat "$device/vendor") $(cat "$device/device") $(basename "$(readlink "$device/driver")")"
            done
            ls /dev/vfio
            head -n 1 /dev/nvme1n1
            bind-vfio 0000:06:00.0/2
            bind-vfio 0000:99:00.0 || echo refused
            """,
            iommu: true, "0000:03:00.0", "0000:04:00.0", "0000:00:17.0");
        Assert.Equal(0, result.ExitCode);
        string[] lines = result.Output.Split('\n');
        Assert.Contains("0000:03:00.0 0x1b36 0x0010 vfio-pci", lines);
        Assert.Contains("0000:04:00.0 0x8086 0x10d3 vfio-pci", lines);
        Assert.Contains("0000:05:00.0 0x1b36 0x0010 nvme", lines);
        Assert.Contains("0000:00:17.0 0x1234 0x11e8 vfio-pci", lines);
        Assert.Contains("vfio", lines);
        Assert.Contains("APERTURE labnvme1 sector 0000000000000000", lines);
        Assert.Contains("refused", lines);
        Assert.Contains("there is no 0000:99:00.0", result.Error, StringComparison.Ordinal);
        if (LabEmulator.Locate(Artifacts).Has("igb"))
        {
            Assert.True(Array.Exists(lines, line => line.StartsWith("bound 0000:06:10.0 8086:10ca group ", StringComparison.Ordinal)),
                result.Output + result.Error);
            Assert.True(Array.Exists(lines, line => line.StartsWith("bound 0000:06:10.2 8086:10ca group ", StringComparison.Ordinal)),
                result.Output + result.Error);
        }
    }

    [Fact]
    public async Task Lab_Passthrough_without_an_IOMMU_has_no_groups_and_the_command_does_not_begin()
    {
        LabResult result = await RunAsync("echo begun", iommu: false, "0000:03:00.0");
        Assert.Equal(3, result.ExitCode);
        Assert.DoesNotContain("begun", result.Output, StringComparison.Ordinal);
        Assert.Contains("the kernel uses no IOMMU", result.Error, StringComparison.Ordinal);
    }
}
