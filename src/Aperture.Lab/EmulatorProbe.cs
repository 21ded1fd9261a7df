using System.ComponentModel;
using System.Diagnostics;

namespace Aperture.Lab;

/// <summary>
/// Whether 64-bit OVMF runs in an emulator of the lab's machine. It writes CR8 at the end of each interrupt, and QEMU as it is ends when a guest of its guest
/// does so while a virtual interrupt waits (docs/lab.md). That is tried, not taken from a version: the emulator runs the ROM of lab/probe/cr8.s for a moment.
/// </summary>
/// <param name="Sound">True when it does.</param>
/// <param name="Finding">What was seen, in one sentence.</param>
public sealed record EmulatorProbe(bool Sound, string Finding)
{
    // A quiet machine needs a tenth of a second.
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    /// <summary>Tries it. Without the ROM, which <c>./aperture lab prepare</c> makes, nothing is known and the emulator does not count as sound.</summary>
    public static EmulatorProbe Of(LabEmulator emulator, LabArtifacts artifacts)
    {
        ArgumentNullException.ThrowIfNull(emulator);
        ArgumentNullException.ThrowIfNull(artifacts);
        if (!File.Exists(artifacts.EmulatorProbe))
        {
            return Unknown(emulator, $"{artifacts.EmulatorProbe} is not there: run ./aperture lab prepare");
        }

        try
        {
            return Run(emulator, artifacts.EmulatorProbe);
        }
        catch (Win32Exception failure)
        {
            return Unknown(emulator, failure.Message);
        }
    }

    private static EmulatorProbe Run(LabEmulator emulator, string rom)
    {
        ProcessStartInfo start = new(emulator.Program,
        [
            "-machine", "q35", "-accel", "tcg", "-cpu", "max,+svm", "-m", "16", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-serial", "stdio", "-bios", rom,
        ])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process run = Process.Start(start)!;
        run.StandardInput.Close();
        Task<string> printed = run.StandardOutput.ReadToEndAsync();
        Task<string> complained = run.StandardError.ReadToEndAsync();
        if (!run.WaitForExit(Limit))
        {
            run.Kill(entireProcessTree: true);
            return Unknown(emulator, $"it did not end within {Limit.TotalSeconds:F0} s");
        }

        string[] complaints = complained.GetAwaiter().GetResult().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return printed.GetAwaiter().GetResult().Trim() == "sound" && run.ExitCode == 0
            ? new EmulatorProbe(true, $"64-bit OVMF runs in {emulator.Program}: a guest of its guest wrote CR8 while a virtual interrupt waited.")
            : new EmulatorProbe(
                false,
                $"64-bit OVMF does not run in {emulator.Program}, which ended with code {run.ExitCode} when a guest of its guest wrote CR8 while a "
                    + $"virtual interrupt waited ({complaints.LastOrDefault("it said nothing")}); ./aperture lab prepare qemu builds one in which it does.");
    }

    private static EmulatorProbe Unknown(LabEmulator emulator, string why) =>
        new(false, $"Whether 64-bit OVMF runs in {emulator.Program} is not known, because {why}.");
}
