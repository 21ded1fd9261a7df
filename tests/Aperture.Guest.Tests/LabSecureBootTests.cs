using System.Text.Json;
using Aperture.Kvm;

namespace Aperture.Guest.Tests;

/// <summary>
/// Debian's Secure Boot build of OVMF, unmodified: it needs system management mode, sets its memory up there, and keeps its variables where nobody else can
/// write them.
/// </summary>
public sealed class LabSecureBootTests
{
    private const string Folder = "/usr/share/OVMF/";

    [Fact]
    public async Task The_Secure_Boot_build_reaches_its_shell_and_writes_its_variables_in_system_management_mode_only()
    {
        FirmwareRun run = await Image("OVMF_VARS_4M.fd").BootAsync("Shell>");
        Assert.Contains("UEFI Interactive Shell", run.Serial, StringComparison.Ordinal);
        JsonElement[] commands = [.. run.EventsOf("slot.removed").Where(e => Text(e, "region") == "flash-variables")];
        Assert.NotEmpty(commands);
        Assert.All(commands, e => Assert.Equal("smm", Text(e, "mode")));

        // The last of RAM is the mode's: its slot is seen there, and everybody else's RAM ends below it.
        JsonElement tseg = run.EventsOf("slot.added").Last(e => Text(e, "region") == "tseg");
        Assert.Equal(("smm", "0x1f000000", "0x1000000"), (Text(tseg, "mode"), Text(tseg, "address"), Text(tseg, "size")));
        JsonElement low = run.EventsOf("slot.added").Last(e => Text(e, "region") == "ram-low" && Text(e, "mode") is null && Text(e, "address") == "0x100000");
        Assert.Equal("0x1ef00000", Text(low, "size"));
    }

    [Fact]
    public async Task With_Microsofts_keys_enrolled_it_refuses_the_shell_that_nobody_signed()
    {
        FirmwareRun run = await Image("OVMF_VARS_4M.ms.fd").BootAsync("Security Violation");
        Assert.DoesNotContain("UEFI Interactive Shell", run.Serial, StringComparison.Ordinal);
    }

    // Each interrupt brings both processors into the mode, where they wait for each other on the one processor that the lab's machine has: slow, so no further
    // than the shell.
    [Fact]
    public async Task Two_processors_take_its_interrupts_together()
    {
        FirmwareRun run = await Image("OVMF_VARS_4M.fd").BootAsync("Shell>", "--cpus", "2");
        Assert.Contains("UEFI Interactive Shell", run.Serial, StringComparison.Ordinal);
        Assert.Contains(run.EventsOf("slot.removed"), e => Text(e, "region") == "flash-variables" && Text(e, "mode") == "smm");
    }

    [Fact]
    public async Task Linux_runs_under_it()
    {
        FirmwareRun run = await Image("OVMF_VARS_4M.fd").BootAsync(
            "APERTURE done", ["--device", "test,id=t0,addr=05.0,bar0=mem32:1M:trap", .. FirmwareRun.Kernel(PinnedMachine.KernelOptions)]);
        Assert.Contains(run.Lines("bar"), b => b[1] == "0000:00:05.0");

        // RAM that only the mode sees is missed by nobody once the operating system has the machine.
        JsonElement verified = Assert.Single(run.EventsOf("map.verified"), e => Text(e, "when") == "boot");
        Assert.True(verified.GetProperty("count").GetInt32() == 0, verified.ToString());
        Assert.Equal("0", Assert.Single(run.Lines("touched"))[2]);
    }

    [Fact]
    public async Task SeaBIOS_fills_the_modes_window_closes_it_and_goes_on()
    {
        FirmwareRun run = await FirmwareRun.UntilAsync(
            "No bootable device", "--smm", "on", "--cpus", "2", "--firmware", FirmwareRun.SeaBios, "--memory", "256M");
        JsonElement[] window = [.. run.Events.Where(e => Text(e, "region") == "smram")];

        // Open to everybody while the handler is written; then it is the mode's alone.
        Assert.Contains(window, e => Text(e, "event") == "slot.added" && Text(e, "mode") is null);
        Assert.Equal("slot.removed", Text(window.Last(e => Text(e, "mode") is null), "event"));
        Assert.Equal("slot.added", Text(window.Last(e => Text(e, "mode") == "smm"), "event"));
    }

    [Fact]
    public async Task KVM_in_the_lab_has_the_mode_as_this_monitor_uses_it()
    {
        Assert.SkipWhen(KvmSystem.Probe64Bit().Runs64Bit, "this host's KVM is complete: Aperture.Kvm.Tests test it");
        const string Name = "Aperture.Kvm.Tests";
        string tests = Path.Combine(AppContext.BaseDirectory.Replace("Aperture.Guest.Tests", Name, StringComparison.Ordinal), Name);
        Assert.SkipUnless(File.Exists(tests), $"{tests} is not built");
        LabJob job = await SharedLab.RunAsync($"{Checkout.Command([tests, "-noLogo", "-noColor", "-class", "*ManagementMode*"])}", TimeSpan.FromSeconds(300));
        Assert.True(job.ExitCode == 0, job.Output + job.Error);
        Assert.Contains("Total: 3, Errors: 0, Failed: 0, Skipped: 0", job.Output, StringComparison.Ordinal);
    }

    // Runs where 64-bit OVMF does, with its own code and variables.
    private static OvmfImage Image(string variables)
    {
        OvmfImage image = OvmfImage.Find(OvmfImage.For64Bit) with { Code = $"{Folder}OVMF_CODE_4M.secboot.fd", Variables = Folder + variables };
        Assert.SkipUnless(File.Exists(image.Code) && File.Exists(image.Variables), $"{image.Code} and {image.Variables} are not installed (package ovmf)");
        return image;
    }

    private static string? Text(JsonElement e, string name) => e.TryGetProperty(name, out JsonElement value) ? value.GetString() : null;
}
