using System.Diagnostics;

namespace Aperture.Firmware.Tests.Acpi;

/// <summary>Runs ACPICA's compiler and interpreter (Debian's acpica-tools) on tables in a directory of their own.</summary>
internal sealed class AcpiTools : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly TemporaryFolder _folder = new();

    public static bool Have(string tool) => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(':')
        .Any(folder => File.Exists(Path.Combine(folder, tool)));

    public string Save(string name, ReadOnlySpan<byte> bytes)
    {
        string path = Path.Combine(_folder.Path, name);
        File.WriteAllBytes(path, bytes);
        return path;
    }

    public string Folder => _folder.Path;

    /// <summary>Standard output and error together, and the exit code.</summary>
    public (int ExitCode, string Output) Run(string tool, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(tool)
        {
            WorkingDirectory = _folder.Path,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
        };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(Patience))
        {
            process.Kill();
            Assert.Fail($"{tool} did not end");
        }

        return (process.ExitCode, output.Result + error.Result);
    }

    public void Dispose() => _folder.Dispose();
}
