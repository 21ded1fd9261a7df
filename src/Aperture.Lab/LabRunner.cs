using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Aperture.Lab;

/// <summary>
/// Runs commands in the lab: starts QEMU's software emulation of a machine whose KVM is complete, boots Linux there (L1) and runs the
/// command in it, as docs/lab.md describes. Lab runs of one user queue, because two at once slow each other where processors are few, unless
/// <see cref="SlotsVariable"/> says otherwise.
/// </summary>
/// <param name="artifacts">The machine's kernel and initial file system.</param>
/// <param name="progress">Receives one line per step and per retry; the CLI passes standard error.</param>
public sealed class LabRunner(LabArtifacts artifacts, TextWriter progress)
{
    /// <summary>Names how many lab runs of one user go on at once. 1 if it is absent.</summary>
    public const string SlotsVariable = "APERTURE_LAB_SLOTS";

    /// <summary>How many lab runs of this user go on at once, by <see cref="SlotsVariable"/>.</summary>
    public static int SlotsByEnvironment { get; } =
        int.TryParse(Environment.GetEnvironmentVariable(SlotsVariable), NumberStyles.None, CultureInfo.InvariantCulture, out int slots) && slots > 0
            ? slots : 1;

    /// <summary>An emulator for every kind of machine; null for the one of its kind.</summary>
    internal string? Emulator { get; init; }

    internal StartLimits Limits { get; init; } = StartLimits.Default;

    internal int Slots { get; init; } = SlotsByEnvironment;

    internal string LockPath { get; init; } = LabLock.DefaultPath();

    /// <summary>
    /// Runs the command with its streams connected and returns its exit code. SIGINT, SIGTERM and SIGHUP end the machine and
    /// return 128 plus the signal's number; every way out ends this run's own QEMU and removes its files.
    /// </summary>
    /// <exception cref="ApertureException">QEMU or an artefact is missing, the machine does not start, or the command ran out of time.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled; the machine is gone.</exception>
    public async Task<int> RunAsync(LabRun run, LabStreams streams, CancellationToken cancellation = default)
    {
        Validate(run);
        string emulator = EmulatorOf(run);
        if (run.Hardware is { } wanted)
        {
            run = run with { Hardware = wanted.For(new LabEmulator(emulator), out IReadOnlyList<string> missing) };
            if (missing.Count > 0)
            {
                await progress.WriteLineAsync(
                    $"lab: {emulator} cannot model {string.Join(", ", missing)}; the run goes on without (docs/lab.md tells how to get a newer QEMU)");
            }
        }
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        int signal = 0;
        void OnSignal(PosixSignalContext context)
        {
            context.Cancel = true;
            signal = context.Signal switch { PosixSignal.SIGHUP => 1, PosixSignal.SIGINT => 2, _ => 15 };
            ending.Cancel();
        }
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        try
        {
            using LabLock turn = await LabLock.AcquireAsync(LockPath, Slots, progress, ending.Token);
            return await RunWithRetriesAsync(run, streams, ending.Token);
        }
        catch (Exception exception) when (signal != 0 && exception is OperationCanceledException or ApertureException)
        {
            // A terminal or a process group sends the signal to QEMU as well, whose end may be seen first.
            return 128 + signal;
        }
    }

    /// <summary>
    /// Runs the command without input and returns what it printed. A run that exceeds <see cref="LabRun.Timeout"/> is repeated up to
    /// <paramref name="retries"/> times, each reported, because L1 hangs now and then.
    /// </summary>
    /// <exception cref="ApertureException">As <see cref="RunAsync"/>.</exception>
    public async Task<LabResult> CaptureAsync(LabRun run, int retries = 1, CancellationToken cancellation = default)
    {
        for (int attempt = 0; ; attempt++)
        {
            using MemoryStream output = new();
            using MemoryStream error = new();
            try
            {
                int code = await RunAsync(run, new LabStreams(Stream.Null, output, error), cancellation);
                return new LabResult(code, Text(output), Text(error));
            }
            catch (LabHangException hang) when (attempt < retries)
            {
                await progress.WriteLineAsync($"lab: {hang.Message} Trying again ({attempt + 1} of {retries}). Its output's end: {Tail(Text(output))}");
            }
        }
    }

    private async Task<int> RunWithRetriesAsync(LabRun run, LabStreams streams, CancellationToken cancellation)
    {
        for (int attempt = 0; ; attempt++)
        {
            using LabFolder folder = new();
            LabMachine up;
            try
            {
                up = await StartAsync(run, folder, cancellation);
            }
            catch (LabHangException hang) when (attempt < run.StartRetries)
            {
                await progress.WriteLineAsync($"lab: {hang.Message} Trying again ({attempt + 1} of {run.StartRetries}).");
                continue;
            }
            await using LabMachine machine = up;
            await progress.WriteLineAsync($"lab: L1 up after {machine.Elapsed.TotalSeconds:F1} s");
            return await RunCommandAsync(machine, run, streams, cancellation);
        }
    }

    private async Task<LabMachine> StartAsync(LabRun run, LabFolder folder, CancellationToken cancellation)
    {
        await progress.WriteLineAsync("lab: starting the software-emulated machine");
        LabMachine machine = await LabMachine.StartAsync(EmulatorOf(run), artifacts, run, folder, Limits, cancellation);
        try
        {
            await machine.WaitUntilUpAsync(Limits, cancellation);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync();
            throw;
        }
    }

    private static async Task<int> RunCommandAsync(LabMachine machine, LabRun run, LabStreams streams, CancellationToken cancellation)
    {
        using IDisposable? started = streams.Started?.Invoke();
        using CancellationTokenSource over = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        if (run.Timeout is { } limit)
        {
            over.CancelAfter(limit);
        }

        Task[] outputs =
        [
            LabPump.OutputAsync(machine.Port("stdout"), streams.Output),
            LabPump.OutputAsync(machine.Port("stderr"), streams.Error),
        ];
        // Not awaited at the end: a read of a terminal cannot be interrupted, and nobody needs what it would return.
        _ = Task.Run(() => LabPump.InputAsync(streams.Input, machine.Port("stdin"), over.Token), CancellationToken.None);
        try
        {
            return await machine.WaitForExitAsync(over.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new LabHangException($"The command did not end within {run.Timeout!.Value.TotalSeconds:F0} s in the lab.");
        }
        finally
        {
            over.Cancel();
            await machine.KillAsync();
            await Task.WhenAll(outputs);
        }
    }

    private void Validate(LabRun run)
    {
        artifacts.RequireOuter(run.Platform);
        if (!Path.IsPathRooted(run.Program) || !File.Exists(run.Program))
        {
            throw new ApertureException($"The lab cannot run {run.Program}: it is not the absolute path of a file.");
        }

        foreach (string directory in run.WritableDirectories)
        {
            if (!Path.IsPathRooted(directory) || !Directory.Exists(directory))
            {
                throw new ApertureException($"The lab cannot write to {directory}: it is not the absolute path of a directory.");
            }

            if (directory.Trim('/').Length == 0 || directory.Contains('\n', StringComparison.Ordinal))
            {
                throw new ApertureException($"The lab cannot make '{directory}' writable: name a directory below the root, without line breaks.");
            }
        }
    }

    private string EmulatorOf(LabRun run) => Emulator ?? LabEmulator.Locate(artifacts, run.Platform).Program;

    private static string Text(MemoryStream stream) => Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);

    private static string Tail(string text) => text.Length <= 400 ? text : "..." + text[^400..];
}
