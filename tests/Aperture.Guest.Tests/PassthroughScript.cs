using System.Text.Json;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>One run in the lab of a script of lab/ that starts guests with passed-through devices: <c>NAME FOLDER PROGRAM KERNEL INITRAMFS
/// COMMANDLINE</c>.</summary>
internal sealed class PassthroughScript
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(6);

    private readonly LabJob _job;

    private PassthroughScript(LabJob job)
    {
        _job = job;
        Said = [.. job.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l.Trim())];
        TestContext.Current.SendDiagnosticMessage($"{job.Output}\n{job.Error}");
    }

    /// <summary>What the script printed.</summary>
    public IReadOnlyList<string> Said { get; }

    /// <summary>What it and the programs that it started printed on standard error.</summary>
    public string Complained => _job.Error;

    /// <summary>Runs the script with <paramref name="functions"/> at vfio-pci; skips the test where the lab is not there.</summary>
    public static async Task<PassthroughScript> RunAsync(string name, params string[] functions)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(artifacts.HasOuter && artifacts.HasPassthrough, $"the lab's kernels are not in {artifacts.Folder}: run ./aperture lab prepare");
        string bind = Checkout.Command(["bind-vfio", .. functions]) + " >&2 || exit 3\n";
        string script = $"{Checkout.Command(Checkout.Script(name))} $out " +
            Checkout.Command(Checkout.Program, artifacts.PassthroughKernel, artifacts.PassthroughInitramfs, GuestRun.KernelOptions);
        return new PassthroughScript(await SharedLab.RunAsync(bind + script, Limit));
    }

    /// <summary>The lines for programs of one guest that start with <paramref name="word"/>, without it.</summary>
    public string[] Guest(string run, string word) =>
    [
        .. _job.Text(run + ".txt").Split('\n').Select(l => l.Trim())
            .Where(l => l.StartsWith($"APERTURE {word} ", StringComparison.Ordinal)).Select(l => l[$"APERTURE {word} ".Length..]),
    ];

    /// <summary>The events of one run.</summary>
    public IReadOnlyList<JsonElement> Events(string run) =>
        [.. _job.Text(run + ".jsonl").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement)];
}
