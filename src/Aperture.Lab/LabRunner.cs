namespace Aperture.Lab;

/// <summary>
/// Runs commands in the lab: starts QEMU's software emulation of a machine with AMD SVM, boots Linux there (L1) and runs the
/// command in it, as docs/lab.md describes. Lab runs of one user queue, because two at once slow each other.
/// </summary>
/// <param name="artifacts">The machine's kernel and initial file system.</param>
/// <param name="progress">Receives one line per step and per retry; the CLI passes standard error.</param>
public sealed class LabRunner(LabArtifacts artifacts, TextWriter progress)
{
    /// <summary>
    /// Runs the command with its streams connected and returns its exit code. SIGINT, SIGTERM and SIGHUP end the machine and
    /// return 128 plus the signal's number; every way out ends this run's own QEMU and removes its files.
    /// </summary>
    /// <exception cref="ApertureException">QEMU or an artefact is missing, the machine does not start, or the command ran out of time.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellation"/> was cancelled; the machine is gone.</exception>
    public Task<int> RunAsync(LabRun run, LabStreams streams, CancellationToken cancellation = default)
    {
        _ = (artifacts, progress, run, streams, cancellation);
        throw new ApertureException("The lab is not built into this version.", ApertureException.HostFailure);
    }

    /// <summary>
    /// Runs the command without input and returns what it printed. A run that exceeds <see cref="LabRun.Timeout"/> is repeated up to
    /// <paramref name="retries"/> times, each reported, because L1 hangs now and then.
    /// </summary>
    /// <exception cref="ApertureException">As <see cref="RunAsync"/>.</exception>
    public Task<LabResult> CaptureAsync(LabRun run, int retries = 1, CancellationToken cancellation = default)
    {
        _ = (run, retries, cancellation);
        throw new ApertureException("The lab is not built into this version.", ApertureException.HostFailure);
    }
}
