using System.Text.Encodings.Web;
using System.Text.Json;

namespace Aperture.Watch;

/// <summary>
/// Writes what happens to the machine as JSON lines: <c>{"t":SECONDS,"event":"bar.decoded",...}</c> with a monotonic time in seconds since
/// the log was opened. Thread-safe. Bounded: after <see cref="MaxEvents"/> lines it says so once and stays silent, so that a guest cannot fill the
/// host's disk; a write that fails ends the log, never the guest, and is reported once on standard error.
/// </summary>
public sealed class EventLog : IEventSink, IDisposable
{
    /// <summary>Lines after which the log stops.</summary>
    public const int MaxEvents = 1_000_000;

    private readonly Lock gate = new();
    private readonly TimeProvider clock;
    private readonly long start;
    private readonly Stream? stream;
    private readonly MemoryStream line = new();
    private readonly Utf8JsonWriter writer;
    private readonly string name;
    private int written;
    private bool failed;

    private EventLog(Stream? stream, string name, TimeProvider clock)
    {
        this.stream = stream;
        this.name = name;
        this.clock = clock;
        start = clock.GetTimestamp();

        // A file of lines is no part of a web page: only what JSON itself asks for is escaped.
        writer = new Utf8JsonWriter(line, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
    }

    /// <summary>A log that keeps nothing.</summary>
    public static EventLog None { get; } = new(null, "", TimeProvider.System);

    /// <inheritdoc/>
    public bool Enabled => stream is not null;

    /// <inheritdoc/>
    public TimeSpan Elapsed => clock.GetElapsedTime(start);

    /// <summary>Opens <paramref name="path"/> for writing, emptying it first.</summary>
    /// <exception cref="ApertureException">The file cannot be written.</exception>
    public static EventLog Open(string path, TimeProvider clock)
    {
        try
        {
            return new EventLog(new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read), path, clock);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"Events cannot be written to {path}: {e.Message}", innerException: e);
        }
    }

    /// <summary>A log into a stream of the caller's, which is closed with the log.</summary>
    public static EventLog To(Stream stream, TimeProvider clock) => new(stream, "the event stream", clock);

    /// <inheritdoc/>
    public void Write(string kind, Action<Utf8JsonWriter>? fields = null)
    {
        if (stream is null)
        {
            return;
        }

        lock (gate)
        {
            if (failed || written > MaxEvents)
            {
                return;
            }

            Append(++written > MaxEvents ? "events.truncated" : kind, written > MaxEvents ? null : fields);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (gate)
        {
            writer.Dispose();
            stream?.Dispose();
            failed = true;
        }
    }

    private void Append(string kind, Action<Utf8JsonWriter>? fields)
    {
        line.SetLength(0);
        writer.Reset(line);
        writer.WriteStartObject();
        writer.WriteNumber("t", Math.Round(Elapsed.TotalSeconds, 6));
        writer.WriteString("event", kind);
        fields?.Invoke(writer);
        writer.WriteEndObject();
        writer.Flush();
        line.Write("\n"u8);
        try
        {
            // Straight to the file: an event that explains a crash must not be lost in a buffer.
            stream!.Write(line.GetBuffer().AsSpan(0, (int)line.Length));
            stream.Flush();
        }
        catch (IOException e)
        {
            failed = true;
            Console.Error.WriteLine($"aperture: events are no longer written to {name}: {e.Message}");
        }
    }
}
