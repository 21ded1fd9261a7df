using System.Text;
using System.Text.Json;

namespace Aperture.Board.Tests.Fakes;

/// <summary>Keeps events as lines of JSON.</summary>
internal sealed class RecordedEvents : IEventSink
{
    public List<string> Lines { get; } = [];

    public bool Enabled => true;

    public TimeSpan Elapsed => TimeSpan.Zero;

    public void Write(string kind, Action<Utf8JsonWriter>? fields = null)
    {
        using MemoryStream line = new();
        using (Utf8JsonWriter json = new(line))
        {
            json.WriteStartObject();
            json.WriteString("event", kind);
            fields?.Invoke(json);
            json.WriteEndObject();
        }

        Lines.Add(Encoding.UTF8.GetString(line.ToArray()));
    }

    public void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null) => Write(kind, json =>
    {
        json.WriteString("notice", sentence);
        fields?.Invoke(json);
    });
}

/// <summary>Keeps nothing.</summary>
internal sealed class NoEvents : IEventSink
{
    public static NoEvents Instance { get; } = new();

    public bool Enabled => false;

    public TimeSpan Elapsed => TimeSpan.Zero;

    public void Write(string kind, Action<Utf8JsonWriter>? fields = null)
    {
    }

    public void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null)
    {
    }
}
