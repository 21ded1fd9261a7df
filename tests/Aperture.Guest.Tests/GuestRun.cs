using System.Diagnostics;
using System.Text.Json;
using Aperture.Kvm;
using Aperture.Lab;

namespace Aperture.Guest.Tests;

/// <summary>One run of the built <c>aperture</c> with an unmodified Debian kernel: under this host's KVM when that runs 64-bit guests, else in the
/// lab.</summary>
internal sealed class GuestRun
{
    /// <summary>What a guest's kernel needs on its command line in the lab.</summary>
    public const string KernelOptions = "console=ttyS0 quiet panic=-1 lpj=1000000 tsc=reliable no_timer_check mitigations=off";

    private const int Attempts = 3;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(120);

    private GuestRun(int exitCode, string serial, IReadOnlyList<JsonElement> events, string error)
    {
        ExitCode = exitCode;
        Serial = serial;
        Events = events;
        Error = error;
    }

    /// <summary>The process's exit code.</summary>
    public int ExitCode { get; }

    /// <summary>What the guest printed.</summary>
    public string Serial { get; }

    /// <summary>The event log.</summary>
    public IReadOnlyList<JsonElement> Events { get; }

    /// <summary>Standard error.</summary>
    public string Error { get; }

    /// <summary>The guest's lines for programs, without their mark, that start with <paramref name="word"/>.</summary>
    public IReadOnlyList<string[]> Lines(string word) =>
        [.. Serial.Split('\n').Select(l => l.Trim()).Where(l => l.StartsWith($"APERTURE {word}", StringComparison.Ordinal)).Select(l => l.Split(' ')[1..])];

    /// <summary>The events of one kind.</summary>
    public IReadOnlyList<JsonElement> EventsOf(string kind) => [.. Events.Where(e => e.GetProperty("event").GetString() == kind)];

    /// <summary>Boots the cloud kernel with the guest's initial file system; skips the test where its parts are absent.</summary>
    /// <param name="commandLine">Added to the kernel's command line.</param>
    /// <param name="arguments">Added to <c>aperture run</c>.</param>
    public static async Task<GuestRun> BootAsync(string commandLine, params string[] arguments)
    {
        LabArtifacts artifacts = LabArtifacts.Locate();
        Assert.SkipUnless(artifacts.HasGuest, $"the guest's kernel is not in {artifacts.Folder}: run ./aperture lab prepare");
        return await KernelAsync(artifacts.GuestKernel, artifacts.GuestInitramfs, commandLine, arguments);
    }

    /// <summary>
    /// Boots any kernel: under this host's KVM, else in a machine of the lab that the tests share; where <c>--accel</c> is among the arguments, as the program
    /// itself starts it.
    /// A run that does not end in time is repeated, because emulated machines hang now and then; the repeat is reported.
    /// </summary>
    public static async Task<GuestRun> KernelAsync(string kernel, string initramfs, string commandLine, params string[] arguments)
    {
        string[] all =
        [
            "run", "--kernel", kernel, "--initramfs", initramfs, "--cmdline", $"{KernelOptions} {commandLine}",
            .. arguments.Contains("--memory") ? arguments : [.. arguments, "--memory", "256M"],
        ];
        bool asUsersDo = arguments.Contains("--accel");
        if (!asUsersDo && !KvmSystem.Probe64Bit().Runs64Bit)
        {
            string script = Checkout.Command([Checkout.Program, .. all, "--accel", "kvm"]) + " --serial file=$out/serial --events $out/events </dev/null";
            LabJob job = await SharedLab.RunAsync(script, Limit, retries: Attempts - 1);
            return new GuestRun(job.ExitCode, job.Text("serial"), Parse(job.Text("events")), job.Error);
        }

        await using IAsyncDisposable? turn = asUsersDo ? await SharedLab.LendAsync() : null;
        for (int attempt = 1; ; attempt++)
        {
            GuestRun? run = await TryAsync(all);
            if (run is not null)
            {
                return run;
            }

            TestContext.Current.SendDiagnosticMessage($"the guest did not end within {Limit.TotalSeconds} s (attempt {attempt} of {Attempts})");
            Assert.True(attempt < Attempts, $"the guest did not end within {Limit.TotalSeconds} s, {Attempts} times in a row");
        }
    }

    private static async Task<GuestRun?> TryAsync(string[] arguments)
    {
        using TemporaryFolder folder = new();
        string serial = Path.Combine(folder.Path, "serial.txt");
        string events = Path.Combine(folder.Path, "events.jsonl");
        using Process child = Start([.. arguments, "--serial", $"file={serial}", "--events", events]);
        Task<string> error = child.StandardError.ReadToEndAsync();
        using CancellationTokenSource limit = new(Limit);
        try
        {
            await child.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            child.Kill(entireProcessTree: true);
            await child.WaitForExitAsync();
            return null;
        }

        return new GuestRun(
            child.ExitCode,
            File.Exists(serial) ? await File.ReadAllTextAsync(serial) : "",
            Parse(File.Exists(events) ? await File.ReadAllTextAsync(events) : ""),
            await error);
    }

    private static JsonElement[] Parse(string lines) =>
        [.. lines.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement)];

    private static Process Start(string[] arguments)
    {
        ProcessStartInfo start = new(Checkout.Program, arguments) { RedirectStandardError = true, RedirectStandardInput = true };
        Process child = Process.Start(start)!;
        child.StandardInput.Close();
        return child;
    }
}
