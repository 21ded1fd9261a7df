using System.Globalization;
using System.Security.Cryptography;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>Debian's unmodified arm64 kernel on the virt machine, as users start it: on another host the program takes the emulated arm64 machine.</summary>
public sealed class LabArm64GuestTests : IDisposable
{
    private const string PinnedAt = "0x00006b8000000000";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task It_finds_every_BAR_where_the_plan_put_it_and_its_drive_sends_messages()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        string kernel = Path.Combine(artifacts.Folder, "arm64-guest-vmlinuz");
        string program = Path.Combine(Checkout.Root(), "bin", "aperture-arm64");
        Assert.SkipUnless(
            artifacts.Has(LabPlatform.Arm64) && File.Exists(kernel), $"the arm64 kernels are not in {artifacts.Folder}: run ./aperture lab prepare arm64");
        Assert.SkipUnless(File.Exists(program), "the program for arm64 is not there: ./aperture build --arch arm64 makes it");
        byte[] content = RandomNumberGenerator.GetBytes(4 << 20);
        string disk = Path.Combine(_folder.Path, "disk");
        await File.WriteAllBytesAsync(disk, content, TestContext.Current.CancellationToken);
        GuestRun run = await GuestRun.KernelAsync(
            kernel,
            Path.Combine(artifacts.Folder, "arm64-guest-initramfs.cpio.gz"),
            "console=ttyAMA0 aperture.script=drive aperture.ids=a9e7:0001",
            "--machine", "virt", "--accel", "lab", "--cpus", "boot=2", "--mmio-window", "0x400000000000:0x400000000000", "--root-port", "id=rp0", "--device",
            "test,id=t0,port=rp0,bar0=mem64p:1M:ram,bar2=mem32:16K,bars=bar0@0x6b8000000000", "--device", "test,id=t1,bar0=mem32:64K,bar1=io:32", "--device",
            $"disk,file={disk}");
        Assert.True(run.ExitCode == 0, run.Error + run.Serial);
        Assert.EndsWith("2", string.Join(' ', Assert.Single(run.Lines("up"))), StringComparison.Ordinal);
        Assert.Contains(run.Lines("bar"), bar => bar is ["bar", "0000:01:00.0", "0", PinnedAt, ..]);
        Assert.Equal(["registers", "pattern", "ram", "registers"], run.Lines("touch ").Select(line => line[3]));
        Assert.Equal(["touched", "5", "0"], Assert.Single(run.Lines("touched")));
        string[] drive = Assert.Single(run.Lines("drive"));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(content)), drive[2]);
        Assert.NotEqual(0, int.Parse(drive[3], CultureInfo.InvariantCulture));
        Assert.Equal("direct", Assert.Single(run.EventsOf("machine.started")).GetProperty("boot").GetString());
        Assert.Equal(0, Assert.Single(run.EventsOf("machine.totals")).GetProperty("dropped_messages").GetInt32());
    }
}
