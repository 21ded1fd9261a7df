using Aperture.Configuration;
using Aperture.Kvm;
using Aperture.Lab;
using Aperture.Pci;

namespace Aperture.Cli.Demo;

/// <summary>
/// Starts Debian's kernel through Debian's 32-bit OVMF, under this host's KVM where that is complete and else in the lab. What OVMF wrote to the BARs is read
/// from the event log, because it is a release build and prints nothing about them; what the kernel found is what the guest printed.
/// </summary>
internal static class OvmfDemo
{
    /// <summary>What it did, or null after the sentence that says why it was not started.</summary>
    /// <param name="folder">Where its logs go.</param>
    /// <param name="accel">As for <c>aperture run</c>.</param>
    /// <param name="machine">The options that make the machine.</param>
    /// <param name="functions">The names of its functions.</param>
    public static FirmwareAccount? Run(DemoFolder folder, string accel, IReadOnlyList<Setting> machine, IEnumerable<string> functions)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        if (Obstacle(artifacts, accel) is { } obstacle)
        {
            Console.WriteLine($"OVMF is not shown: {obstacle}");
            return null;
        }

        string serial = folder.File("ovmf.txt");
        int code = DemoRun.Boot(
            [
                "run", "--accel", KvmSystem.Probe64Bit().Runs64Bit && accel != "lab" ? "kvm" : "lab",
                "--firmware", $"{artifacts.Ovmf32Code},vars={artifacts.Ovmf32Variables},snapshot=on",
                "--kernel", artifacts.GuestKernel, "--initramfs", artifacts.GuestInitramfs, "--cmdline", DemoMachine.KernelOptions, "--no-reboot",
                "--serial", "file=" + serial, "--events", folder.File("ovmf.jsonl"), .. machine.SelectMany(o => new[] { o.Name, o.Text }),
            ],
            serial);
        GuestReport guest = GuestReport.Read(folder.Lines("ovmf.txt"));
        if (code != 0 || !guest.IsComplete)
        {
            throw DemoRun.NotFinished(code, folder.Lines("ovmf.txt"));
        }

        EventReport events = EventReport.Read(folder.Lines("ovmf.jsonl"));
        return new FirmwareAccount("OVMF", $"it started Linux {guest.Kernel}", Chosen(events, functions), events) { Guest = guest };
    }

    // A ROM's register holds what sizing wrote in the end; where it was is known from when OVMF read it.
    private static Dictionary<(string Function, int Bar), ulong> Chosen(EventReport events, IEnumerable<string> functions)
    {
        Dictionary<(string Function, int Bar), ulong> chosen = new(events.Written);
        foreach (string function in functions)
        {
            chosen.Remove((function, BarKinds.RomIndex));
            if (events.FirmwareDecoded($"{function}.{BarKinds.BarName(BarKinds.RomIndex)}") is { } rom)
            {
                chosen[(function, BarKinds.RomIndex)] = rom.Value;
            }
        }

        return chosen;
    }

    private static string? Obstacle(LabArtifacts artifacts, string accel) =>
        !artifacts.HasOvmf32 ? $"{artifacts.Ovmf32Code} is not there; `./aperture lab prepare uefi` fetches it."
        : accel == "lab" || KvmSystem.Probe64Bit().Runs64Bit ? null
        : accel == "kvm" ? "this host's KVM is not complete, and --accel kvm leaves out the lab."
        : artifacts.HasOuter ? null : "this host's KVM is not complete, and the lab is not prepared; `./aperture lab prepare` does that.";
}
