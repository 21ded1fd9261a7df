using System.Text.RegularExpressions;
using Aperture.Configuration;
using Aperture.Kvm;
using Aperture.Lab;
using Aperture.Pci;

namespace Aperture.Cli.Demo;

/// <summary>
/// Starts Debian's 32-bit OVMF to its shell, under this host's KVM where that is complete and else in the lab, and reads from the event log what it wrote to
/// the BARs: it is a release build and prints nothing about them.
/// </summary>
internal static partial class OvmfDemo
{
    private const string Done = "Shell>";

    [GeneratedRegex("UEFI v[^\\r\\n]*")]
    private static partial Regex VersionLine();

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
        DemoRun.BootUntil(
            Done,
            [
                "run", "--accel", KvmSystem.Probe64Bit().Runs64Bit && accel != "lab" ? "kvm" : "lab",
                "--firmware", $"{artifacts.Ovmf32Code},vars={artifacts.Ovmf32Variables},snapshot=on",
                "--serial", "file=" + serial, "--events", folder.File("ovmf.jsonl"), .. machine.SelectMany(o => new[] { o.Name, o.Text }),
            ],
            serial);
        EventReport events = EventReport.Read(folder.Lines("ovmf.jsonl"));
        return new FirmwareAccount("OVMF", VersionLine().Match(DemoFolder.ReadShared(serial)).Value.Trim(), Chosen(events, functions), events);
    }

    // A ROM's register holds what sizing wrote in the end; where it was is known from when OVMF read it.
    private static Dictionary<(string Function, int Bar), ulong> Chosen(EventReport events, IEnumerable<string> functions)
    {
        Dictionary<(string Function, int Bar), ulong> chosen = new(events.Written);
        foreach (string function in functions)
        {
            chosen.Remove((function, BarKinds.RomIndex));
            if (events.Decoded($"{function}.{BarKinds.BarName(BarKinds.RomIndex)}") is { } rom)
            {
                chosen[(function, BarKinds.RomIndex)] = rom.Address.Value;
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
