namespace Aperture.Watch;

/// <summary>
/// Watches a machine through its <see cref="EventHub"/>. Called on vCPU and device threads, one call at a time: it must return at once, so one whose reader
/// may be slow keeps an <see cref="OutputQueue"/> between.
/// </summary>
public interface IEventSubscriber
{
    /// <summary>False for who takes notices only: events are then not even put together for it.</summary>
    bool TakesEvents { get; }

    /// <summary>Takes what happened. One that throws is not called again.</summary>
    void Take(in WatchedEvent happened);

    /// <summary>Waits, a moment at most, until what was taken is where it goes. Not called from where a guest would wait.</summary>
    void Flush()
    {
        // Who passes everything on at once has nothing to do.
    }
}

/// <summary>Something that happened to a machine; valid during the call only.</summary>
/// <param name="at">When, since the hub was made.</param>
/// <param name="notice">A sentence for the person who runs the machine, who may have to act; null for what is merely recorded.</param>
/// <param name="line">The event as a JSON object on one line, with its line feed; UTF-8.</param>
public readonly ref struct WatchedEvent(TimeSpan at, string? notice, ReadOnlySpan<byte> line)
{
    /// <summary>When, since the hub was made.</summary>
    public TimeSpan At { get; } = at;

    /// <summary>A sentence for the person who runs the machine; null for what is merely recorded.</summary>
    public string? Notice { get; } = notice;

    /// <summary>The event as a JSON object on one line, with its line feed; UTF-8.</summary>
    public ReadOnlySpan<byte> Line { get; } = line;
}
