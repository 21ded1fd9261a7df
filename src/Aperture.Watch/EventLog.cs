using System.Globalization;
using System.Text;
using Aperture.Linux;

namespace Aperture.Watch;

/// <summary>
/// Writes every event as a JSON line. Bounded: after <see cref="MaxEvents"/> lines it says so once and stays silent, so that a guest cannot fill the
/// host's disk. A file is written on a thread of its own: while it takes too little, events are left out and counted; a write that fails ends the log.
/// </summary>
public sealed class EventLog : IEventSubscriber, IDisposable
{
    /// <summary>Lines after which the log stops.</summary>
    public const int MaxEvents = 1_000_000;

    private static readonly TimeSpan LastPatience = TimeSpan.FromSeconds(1);

    // One of the two.
    private readonly Stream? _stream;
    private readonly OutputQueue? _queue;

    // Only the hub's calls, one at a time, touch these.
    private int _written;
    private long _leftOut;
    private bool _failed;

    private EventLog(Stream stream) => _stream = stream;

    private EventLog(OutputQueue queue)
    {
        _queue = queue;

        // An event that explains a crash must not be lost in the queue.
        AppDomain.CurrentDomain.UnhandledException += Crash;
    }

    /// <inheritdoc/>
    public bool TakesEvents => true;

    /// <summary>Opens <paramref name="path"/> for writing, emptying it first. When it takes no more, <paramref name="notices"/> gets a notice.</summary>
    /// <exception cref="ApertureException">The file cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The wait for a pipe's reader was cancelled.</exception>
    public static EventLog Open(string path, OutputFiles files, IEventSink notices)
    {
        try
        {
            FileStream file = files.Create(path, FileShare.Read);
            return To(new OutputQueue(file, fault => notices.Notice("events.failed", $"events are no longer written to {path}: {fault.Message}")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"Events cannot be written to {path}: {e.Message}", innerException: e);
        }
    }

    /// <summary>A log straight into a stream that does not wait for a reader; it is closed with the log.</summary>
    public static EventLog To(Stream stream) => new(stream);

    /// <summary>A log into a queue, which is closed with it.</summary>
    public static EventLog To(OutputQueue queue) => new(queue);

    /// <inheritdoc/>
    public void Flush() => _queue?.Flush(LastPatience);

    /// <inheritdoc/>
    public void Take(in WatchedEvent happened)
    {
        if (_failed || _written > MaxEvents)
        {
            return;
        }

        _written++;
        ReadOnlySpan<byte> line = _written > MaxEvents ? Own(happened.At, "\"events.truncated\"") : happened.Line;
        if (_leftOut > 0)
        {
            // Together, or a queue that has room for little would be filled with reports of what did not fit.
            line = (byte[])[.. Own(happened.At, $"\"events.left_out\",\"count\":{_leftOut}"), .. line];
        }

        _leftOut = Append(line) ? 0 : _leftOut + 1;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        AppDomain.CurrentDomain.UnhandledException -= Crash;
        _queue?.Dispose();
        _stream?.Dispose();
    }

    // A line of the log's own.
    private static byte[] Own(TimeSpan at, string rest) =>
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{{\"t\":{Math.Round(at.TotalSeconds, 6)},\"event\":{rest}}}\n"));

    private bool Append(ReadOnlySpan<byte> line)
    {
        if (_queue is not null)
        {
            return _queue.TryWrite(line);
        }

        try
        {
            _stream!.Write(line);
            _stream.Flush();
        }
        catch (IOException)
        {
            _failed = true;
        }

        return true;
    }

    private void Crash(object? sender, UnhandledExceptionEventArgs e) => Flush();
}
