namespace Aperture.Devices.Arm;

/// <summary>
/// A key at a line of a GPIO block, high while it is down. Linux looks at the line again a while after the edge, so a press has to last.
/// </summary>
public sealed class PowerKey : IDisposable
{
    private static readonly TimeSpan Press = TimeSpan.FromMilliseconds(100);
    private readonly Pl061 _gpio;
    private readonly int _line;
    private readonly ITimer _release;

    /// <summary>Makes the key, up, at <paramref name="line"/> of <paramref name="gpio"/>.</summary>
    public PowerKey(Pl061 gpio, int line, TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        (_gpio, _line) = (gpio, line);
        _release = clock.CreateTimer(
            static key => ((PowerKey)key!)._gpio.SetInput(((PowerKey)key)._line, false), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Presses the key for a tenth of a second. Any thread.</summary>
    public void PressOnce()
    {
        _gpio.SetInput(_line, true);
        _release.Change(Press, Timeout.InfiniteTimeSpan);
    }

    /// <inheritdoc/>
    public void Dispose() => _release.Dispose();
}
