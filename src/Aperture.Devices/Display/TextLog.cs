namespace Aperture.Devices.Display;

/// <summary>
/// Writes the text on a screen as a stream: whenever a look finds other text than the one before, the whole screen is appended after a line
/// <c>--- screen N ---</c>. Text that comes and goes between two looks is not seen. The last look is taken at the end.
/// </summary>
public sealed class TextLog : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Func<TextScreen?> _read;
    private readonly TextWriter _output;
    private readonly ITimer _timer;
    private string _last = "";
    private int _count;
    private bool _ended;

    /// <summary>Starts looking.</summary>
    /// <param name="read">Gives the screen, or null while there is no text: <see cref="StandardVga.ReadText"/>.</param>
    /// <param name="output">Where the screens go; closed with the log. When it fails, the log ends.</param>
    /// <param name="clock">Drives the looks.</param>
    /// <param name="interval">How often to look.</param>
    public TextLog(Func<TextScreen?> read, TextWriter output, TimeProvider clock, TimeSpan interval)
    {
        ArgumentNullException.ThrowIfNull(clock);
        (_read, _output) = (read, output);
        _timer = clock.CreateTimer(static log => ((TextLog)log!).Look(), this, interval, interval);
    }

    /// <summary>Looks now.</summary>
    public void Look()
    {
        lock (_gate)
        {
            if (_ended || _read()?.ToString() is not { Length: > 0 } text || text == _last)
            {
                return;
            }

            _last = text;
            try
            {
                _output.Write($"--- screen {++_count} ---\n{text}");
                _output.Flush();
            }
            catch (Exception e) when (e is IOException or ObjectDisposedException)
            {
                _ended = true;
            }
        }
    }

    /// <summary>Looks once more and closes the output.</summary>
    public void Dispose()
    {
        _timer.Dispose();
        Look();
        lock (_gate)
        {
            _ended = true;
            try
            {
                _output.Dispose();
            }
            catch (IOException)
            {
                // A full disk: what was written stays.
            }
        }
    }
}
