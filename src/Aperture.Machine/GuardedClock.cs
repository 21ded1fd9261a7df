namespace Aperture.Machine;

/// <summary>A clock whose timers end the run and not the process when what they call fails, as a handler on a vCPU's thread does.</summary>
/// <param name="clock">Tells the time and makes the timers.</param>
/// <param name="fail">Told one sentence; any thread.</param>
internal sealed class GuardedClock(TimeProvider clock, Action<string> fail) : TimeProvider
{
    /// <inheritdoc/>
    public override TimeZoneInfo LocalTimeZone => clock.LocalTimeZone;

    /// <inheritdoc/>
    public override long TimestampFrequency => clock.TimestampFrequency;

    /// <inheritdoc/>
    public override DateTimeOffset GetUtcNow() => clock.GetUtcNow();

    /// <inheritdoc/>
    public override long GetTimestamp() => clock.GetTimestamp();

    /// <inheritdoc/>
    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
        clock.CreateTimer(
            given =>
            {
                try
                {
                    callback(given);
                }
                catch (Exception fault)
                {
                    fail($"a timer of the machine failed, which is a fault of this program: {fault}");
                }
            },
            state,
            dueTime,
            period);
}
