namespace Aperture.Machine.Verification;

/// <summary>
/// Finds the end of a guest's boot as far as the address map goes: the guest has written configuration registers, and then none for
/// <see cref="Quiet"/>. Says so once a boot.
/// </summary>
internal sealed class BootWatch : IDisposable
{
    /// <summary>How long no configuration register is written.</summary>
    public static readonly TimeSpan Quiet = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(500);
    private readonly TimeProvider _clock;
    private readonly Func<long> _lastWrite;
    private readonly Action _booted;
    private readonly ITimer _timer;
    private readonly Lock _gate = new();

    // Under the gate.
    private bool _armed;

    /// <summary>Makes a watch that is not running.</summary>
    /// <param name="clock">Time.</param>
    /// <param name="lastWrite">When the guest last wrote a configuration register, as the clock's timestamp; 0 before the first.</param>
    /// <param name="booted">Called once a boot, on a thread of the pool.</param>
    public BootWatch(TimeProvider clock, Func<long> lastWrite, Action booted)
    {
        _clock = clock;
        _lastWrite = lastWrite;
        _booted = booted;
        _timer = clock.CreateTimer(_ => Look(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>A boot begins.</summary>
    public void Start()
    {
        lock (_gate)
        {
            _armed = true;
            _timer.Change(Period, Period);
        }
    }

    /// <summary>The guest's run ended; nothing is said any more. Waits for what is being said.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            Disarm();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _timer.Dispose();
    }

    private void Look()
    {
        lock (_gate)
        {
            long last = _lastWrite();
            if (_armed && last != 0 && _clock.GetElapsedTime(last) >= Quiet)
            {
                Disarm();
                _booted();
            }
        }
    }

    private void Disarm()
    {
        _armed = false;
        _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }
}
