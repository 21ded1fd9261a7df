using System.Text.Json;

namespace Aperture.TestKit;

/// <summary>Keeps the notices.</summary>
public sealed class NoticedEvents : IEventSink
{
    private readonly List<string> _notices = [];

    /// <inheritdoc/>
    public bool Enabled => true;

    /// <inheritdoc/>
    public TimeSpan Elapsed => TimeSpan.Zero;

    /// <summary>What was said so far.</summary>
    public IReadOnlyList<string> Notices
    {
        get
        {
            lock (_notices)
            {
                return [.. _notices];
            }
        }
    }

    /// <inheritdoc/>
    public void Write(string kind, Action<Utf8JsonWriter>? fields = null)
    {
    }

    /// <inheritdoc/>
    public void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null)
    {
        lock (_notices)
        {
            _notices.Add(sentence);
        }
    }
}
