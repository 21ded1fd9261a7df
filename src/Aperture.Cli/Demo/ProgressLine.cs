using System.Diagnostics;

namespace Aperture.Cli.Demo;

/// <summary>Says on standard error what the guest is doing, from what it has printed so far; rewrites one line on a terminal, else writes one a step.</summary>
internal sealed class ProgressLine : IDisposable
{
    private static readonly (string Mark, string Step)[] Steps =
    [
        ("APERTURE up", "the guest's kernel is up; it lists its PCI functions"),
        ("APERTURE end lspci\n", "the guest has run lspci"),
        ("APERTURE touch", "the guest touches its BARs"),
        ("APERTURE irq", "the guest takes interrupts"),
        ("APERTURE done", "the guest is done and powers off"),
    ];

    private readonly string _path;
    private readonly Timer _timer;
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly bool _terminal = !Console.IsErrorRedirected;
    private int _shown = -1;

    /// <summary>Watches the serial log at <paramref name="path"/>, which need not exist yet.</summary>
    public ProgressLine(string path)
    {
        _path = path;
        _timer = new Timer(_ => Look(), null, TimeSpan.FromMilliseconds(500), TimeSpan.FromMilliseconds(500));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        using ManualResetEvent done = new(false);
        _timer.Dispose(done);
        done.WaitOne();
        if (_terminal && _shown >= 0)
        {
            Console.Error.WriteLine();
        }
    }

    private void Look()
    {
        string text;
        try
        {
            using StreamReader reader = new(new FileStream(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
            text = reader.ReadToEnd().Replace("\r", "", StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return;
        }

        int step = Array.FindLastIndex(Steps, s => text.Contains(s.Mark, StringComparison.Ordinal));
        if (step >= 0 && (step != _shown || _terminal))
        {
            string line = $"demo: {_clock.Elapsed.TotalSeconds,5:F1} s  {Steps[step].Step}";
            Console.Error.Write(_terminal ? $"\r\u001b[K{line}" : line + Environment.NewLine);
            _shown = step;
        }
    }
}
