using System.ComponentModel;
using System.Diagnostics;

namespace Aperture.Lab;

/// <summary>The QEMU that emulates the lab's machine.</summary>
/// <param name="Program">A file, or a name to search in PATH.</param>
public sealed record LabEmulator(string Program)
{
    /// <summary>Names another emulator of a PC than the one that was prepared.</summary>
    public const string Variable = "APERTURE_LAB_QEMU";

    /// <summary>The emulator of PCs for these artefacts: by <see cref="Variable"/>, else the one beside them, else the system's.</summary>
    public static LabEmulator Locate(LabArtifacts artifacts) => Locate(artifacts, LabPlatform.X86);

    /// <summary>The emulator of a kind of machine; another than the system's or a prepared one can be named for a PC only.</summary>
    public static LabEmulator Locate(LabArtifacts artifacts, LabPlatform platform)
    {
        ArgumentNullException.ThrowIfNull(artifacts);
        ArgumentNullException.ThrowIfNull(platform);
        if (platform == LabPlatform.X86 && Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } named)
        {
            return new LabEmulator(named);
        }

        string fetched = Path.Combine(artifacts.Folder, platform.Emulator);
        return new LabEmulator(File.Exists(fetched) ? fetched : platform.Emulator);
    }

    /// <summary>True when it can model the device: <c>igb</c> needs version 8. Starts it for a moment.</summary>
    /// <param name="model">QEMU's name of the device.</param>
    public bool Has(string model)
    {
        try
        {
            using Process query = Process.Start(new ProcessStartInfo(Program, ["-device", model + ",help"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            query.ErrorDataReceived += (_, _) => { };
            query.BeginErrorReadLine();
            string properties = query.StandardOutput.ReadToEnd();
            query.WaitForExit();

            // Of a device that it does not know, QEMU 10 says so and ends without an error.
            return query.ExitCode == 0 && properties.Length > 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
