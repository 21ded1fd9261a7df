namespace Aperture.Lab;

/// <summary>
/// Decides whether a starting machine hangs. Wall time alone says little on a busy host, so the emulator's processor time
/// counts: a machine that used far more of it than a start needs spins, one that uses none for long waits for an interrupt that got lost.
/// </summary>
/// <param name="limits">The bounds.</param>
internal sealed class StartWatch(StartLimits limits)
{
    private TimeSpan _lastProcessor;
    private TimeSpan _lastProgress;

    /// <summary>Looks at the emulator once.</summary>
    /// <param name="wall">Time since its start.</param>
    /// <param name="processor">Processor time it has used.</param>
    /// <returns>Why the start counts as hung, or null while it does not.</returns>
    public string? Check(TimeSpan wall, TimeSpan processor)
    {
        if (processor - _lastProcessor >= limits.ProgressStep)
        {
            _lastProcessor = processor;
            _lastProgress = wall;
        }
        if (processor > limits.Processor)
        {
            return $"it used {processor.TotalSeconds:F0} s of processor time without getting ready";
        }

        if (wall - _lastProgress > limits.Idle)
        {
            return $"it did nothing for {limits.Idle.TotalSeconds:F0} s";
        }

        return wall > limits.Wall ? $"it was not ready after {limits.Wall.TotalSeconds:F0} s" : null;
    }
}

/// <summary>Bounds of a start: about three times what a quiet machine needs.</summary>
/// <param name="Processor">Processor time of the emulator until L1 is ready.</param>
/// <param name="Idle">Longest stretch in which it uses less than <paramref name="ProgressStep"/>.</param>
/// <param name="ProgressStep">Processor time that counts as progress.</param>
/// <param name="Wall">Wall time in any case.</param>
internal sealed record StartLimits(TimeSpan Processor, TimeSpan Idle, TimeSpan ProgressStep, TimeSpan Wall)
{
    /// <summary>Debian's generic kernel needs 20 s of a quiet processor, a lab kernel 3 s.</summary>
    public static StartLimits Default { get; } = new(
        TimeSpan.FromSeconds(60), TimeSpan.FromSeconds(15), TimeSpan.FromMilliseconds(300), TimeSpan.FromSeconds(240));
}
