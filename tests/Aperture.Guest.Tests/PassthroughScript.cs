using System.Text.Json;
using Aperture.Lab;
using Aperture.Lab.Hardware;

namespace Aperture.Guest.Tests;

/// <summary>One run in the lab of a script of lab/ that starts guests with passed-through devices: <c>NAME FOLDER PROGRAM KERNEL INITRAMFS COMMANDLINE</c>.</summary>
internal sealed class PassthroughScript : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(6);

    private readonly DirectoryInfo _folder;

    private PassthroughScript(DirectoryInfo folder, LabResult result)
    {
        _folder = folder;
        Said = [.. result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Trim())];
        TestContext.Current.SendDiagnosticMessage($"{result.Output}\n{result.Error}");
    }

    /// <summary>What the script printed.</summary>
    public IReadOnlyList<string> Said { get; }

    /// <summary>Runs the script with <paramref name="functions"/> at vfio-pci; skips the test where the lab is not there.</summary>
    public static async Task<PassthroughScript> RunAsync(string name, params string[] functions)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        string kernel = Path.Combine(artifacts.Folder, "passthrough-vmlinuz");
        string initramfs = Path.Combine(artifacts.Folder, "passthrough-initramfs.cpio.gz");
        Assert.SkipUnless(artifacts.HasOuter && File.Exists(kernel) && File.Exists(initramfs), $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare");
        DirectoryInfo folder = Directory.CreateTempSubdirectory("aperture-passthrough-");
        LabRun run = new("/bin/bash",
        [
            Path.Combine(Checkout.Root(), "lab", name), folder.FullName, Checkout.Program, kernel, initramfs, GuestRun.KernelOptions,
        ])
        {
            Hardware = LabHardware.Passthrough,
            VfioFunctions = functions,
            WritableDirectories = [folder.FullName],
            Timeout = Limit,
        };
        LabResult result = await new LabRunner(artifacts, TextWriter.Null).CaptureAsync(run, retries: 1, TestContext.Current.CancellationToken);
        return new PassthroughScript(folder, result);
    }

    /// <summary>The lines for programs of one guest that start with <paramref name="word"/>, without it.</summary>
    public string[] Guest(string run, string word) =>
    [
        .. File.ReadAllLines(Path.Combine(_folder.FullName, run + ".txt")).Select(l => l.Trim())
            .Where(l => l.StartsWith($"APERTURE {word} ", StringComparison.Ordinal)).Select(l => l[$"APERTURE {word} ".Length..]),
    ];

    /// <summary>The events of one run.</summary>
    public IReadOnlyList<JsonElement> Events(string run) =>
        [.. File.ReadAllLines(Path.Combine(_folder.FullName, run + ".jsonl")).Select(l => JsonDocument.Parse(l).RootElement)];

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _folder.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }
}
