namespace Aperture.Lab.Tests;

/// <summary>The demo guest's kernel and initial file system, booted by QEMU's own KVM machine inside the lab.</summary>
public sealed class LabGuestTests
{
    private static readonly string[] Guest =
    [
        // What the lab's emulated SVM does not carry right is hidden from the guest: docs/lab.md.
        "-machine", "q35,accel=kvm", "-cpu", "host,-xsave,-avx,-avx2,-pku,+kvmclock,host-phys-bits=off,phys-bits=48", "-m", "256",
        "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-object", "memory-backend-ram,id=m0,size=1M,share=on", "-device", "ivshmem-plain,memdev=m0,addr=3.0",
    ];

    [Fact]
    public async Task The_Lab_boots_the_guest_which_reports_its_functions_and_touches_the_BAR_of_the_chosen_one()
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(artifacts.HasOuter && artifacts.HasGuest, $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare");
        Assert.SkipUnless(FakeEmulator.InPath(LabPlatform.X86.Emulator), "qemu-system-x86_64 is not installed");
        LabRun run = new("/usr/bin/" + LabPlatform.X86.Emulator,
        [
            .. Guest, "-kernel", artifacts.GuestKernel, "-initrd", artifacts.GuestInitramfs, "-append",
            "console=ttyS0 quiet panic=-1 lpj=1000000 tsc=reliable no_timer_check mitigations=off aperture.ids=1af4:1110",
        ])
        {
            Timeout = TimeSpan.FromMinutes(3),
        };
        LabResult result = await new LabRunner(artifacts, Console.Error).CaptureAsync(run, retries: 2, TestContext.Current.CancellationToken);

        string[] lines = [.. result.Output.Split('\n').Select(line => line.Trim()).Where(line => line.StartsWith("APERTURE ", StringComparison.Ordinal))];
        Assert.True(lines.Contains("APERTURE done"), result.Output + result.Error);
        Assert.Equal(0, result.ExitCode);
        Assert.Contains("APERTURE function 0000:00:03.0 0x1af4:0x1110 0x050000", lines);
        string bar = Assert.Single(lines, line => line.StartsWith("APERTURE bar 0000:00:03.0 2 ", StringComparison.Ordinal));
        string start = bar.Split(' ')[4];
        Assert.Contains(lines, line => line.StartsWith($"APERTURE touch 0000:00:03.0 2 ram {start} 1048576 ok ", StringComparison.Ordinal));
        // The same function as lspci printed it: the address without leading zeros.
        Assert.Contains($"Region 2: Memory at {start[2..].TrimStart('0')} (64-bit, prefetchable) [size=1M]", result.Output, StringComparison.Ordinal);
    }
}
