[assembly: System.Runtime.Versioning.SupportedOSPlatform("linux")]

namespace Aperture.Lab.Tests;

/// <summary>A shell script in the emulator's place, in a folder of its own together with artefacts and a lock file.</summary>
internal sealed class FakeEmulator : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    public FakeEmulator(string body)
    {
        Program = Path.Combine(_folder.Path, "emulator");
        // Every fake records its id, so that a test sees whether it still runs, and before it the folder it was given.
        File.WriteAllText(Program,
            $"#!/bin/sh\nfor a; do case $a in *lab.run=*) echo \"${{a#*lab.run=}}\" >>'{RunFile}';; esac; done\necho $$ >>'{PidFile}'\n{body}\n");
        File.SetUnixFileMode(Program, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        File.WriteAllText(Artifacts.OuterKernel, "kernel");
        File.WriteAllText(Artifacts.OuterInitramfs, "initramfs");
    }

    public string Program { get; }

    public LabArtifacts Artifacts => new(_folder.Path);

    public StringWriter Progress { get; } = new();

    public string LockPath => Path.Combine(_folder.Path, "lock");

    private string PidFile => Path.Combine(_folder.Path, "pids");

    private string RunFile => Path.Combine(_folder.Path, "runs");

    public LabRunner Runner(StartLimits? limits = null) =>
        new(Artifacts, Progress) { Emulator = Program, LockPath = LockPath, Limits = limits ?? StartLimits.Default };

    /// <summary>How often it was started.</summary>
    public int Starts => File.Exists(PidFile) ? File.ReadAllLines(PidFile).Length : 0;

    /// <summary>Waits until it was started.</summary>
    public async Task StartedAsync(CancellationToken cancellation)
    {
        while (Starts == 0)
        {
            await Task.Delay(20, cancellation);
        }
    }

    /// <summary>Asserts that no start left a process or a folder behind.</summary>
    public void AssertNothingLeft()
    {
        Xunit.Assert.NotEqual(0, Starts);
        Xunit.Assert.All(File.ReadAllLines(PidFile), pid => Xunit.Assert.False(Directory.Exists("/proc/" + pid), $"process {pid} still runs"));
        Xunit.Assert.All(File.ReadAllLines(RunFile), run => Xunit.Assert.False(Directory.Exists(run), $"{run} is still there"));
    }

    public static bool InPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));

    public void Dispose()
    {
        Progress.Dispose();
        _folder.Dispose();
    }
}
