using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Aperture.Watch;

/// <summary>
/// Where everything that happens to a machine comes together, and from where whoever watches gets it: the events file, standard error. An event is put
/// together once, as <c>{"t":SECONDS,"event":"bar.decoded",...}</c> with a monotonic time in seconds since the hub was made, and given to
/// the subscribers in the order in which events came. Thread-safe. What a subscriber throws ends its subscription, never the guest.
/// </summary>
public sealed class EventHub : IEventSink
{
    // Lines are no part of a web page: only what JSON itself asks for is escaped.
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Lock _gate = new();
    private readonly TimeProvider _clock;
    private readonly long _start;

    // Under the gate.
    private readonly ArrayBufferWriter<byte> _line = new();

    // Replaced as a whole under the gate, read without.
    private volatile IEventSubscriber[] _subscribers = [];

    /// <summary>Makes a hub that nobody watches yet.</summary>
    public EventHub(TimeProvider clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        _clock = clock;
        _start = clock.GetTimestamp();
    }

    /// <inheritdoc/>
    public bool Enabled
    {
        get
        {
            foreach (IEventSubscriber subscriber in _subscribers)
            {
                if (subscriber.TakesEvents)
                {
                    return true;
                }
            }

            return false;
        }
    }

    /// <inheritdoc/>
    public TimeSpan Elapsed => _clock.GetElapsedTime(_start);

    /// <summary>Adds a subscriber; disposing the result takes it away, and disposes it where it is disposable.</summary>
    public IDisposable Subscribe(IEventSubscriber subscriber)
    {
        ArgumentNullException.ThrowIfNull(subscriber);
        lock (_gate)
        {
            _subscribers = [.. _subscribers, subscriber];
        }

        return new Subscription(this, subscriber);
    }

    /// <inheritdoc/>
    public void Write(string kind, Action<Utf8JsonWriter>? fields = null)
    {
        if (Enabled)
        {
            Publish(kind, null, fields);
        }
    }

    /// <inheritdoc/>
    public void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(sentence);
        Publish(kind, sentence, fields);
    }

    /// <summary>Waits, a moment at most for each subscriber, until all have passed on what happened before.</summary>
    public void Flush()
    {
        foreach (IEventSubscriber subscriber in _subscribers)
        {
            subscriber.Flush();
        }
    }

    private void Publish(string kind, string? notice, Action<Utf8JsonWriter>? fields)
    {
        lock (_gate)
        {
            TimeSpan at = Elapsed;
            _line.ResetWrittenCount();
            using (Utf8JsonWriter json = new(_line, Options))
            {
                json.WriteStartObject();
                json.WriteNumber("t", Math.Round(at.TotalSeconds, 6));
                json.WriteString("event", kind);
                fields?.Invoke(json);
                if (notice is not null)
                {
                    json.WriteString("notice", notice);
                }

                json.WriteEndObject();
            }

            _line.Write("\n"u8);
            Give(new WatchedEvent(at, notice, _line.WrittenSpan));
        }
    }

    private void Give(in WatchedEvent happened)
    {
        foreach (IEventSubscriber subscriber in _subscribers)
        {
            if (happened.Notice is null && !subscriber.TakesEvents)
            {
                continue;
            }

            try
            {
                subscriber.Take(happened);
            }
            catch (Exception)
            {
                // Whatever it was: the guest goes on, and the others hear of what comes.
                Remove(subscriber);
            }
        }
    }

    private void Remove(IEventSubscriber subscriber)
    {
        lock (_gate)
        {
            _subscribers = [.. _subscribers.Where(other => other != subscriber)];
        }
    }

    private sealed class Subscription(EventHub hub, IEventSubscriber subscriber) : IDisposable
    {
        public void Dispose()
        {
            hub.Remove(subscriber);
            (subscriber as IDisposable)?.Dispose();
        }
    }
}
