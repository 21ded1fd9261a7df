using System.Text.Json;

namespace Aperture;

/// <summary>Takes what happens to a machine, one event at a time. Thread-safe; never throws and never waits for a reader.</summary>
public interface IEventSink
{
    /// <summary>False when nothing is kept: callers need not gather what an event would say.</summary>
    bool Enabled { get; }

    /// <summary>The time that an event written now would carry.</summary>
    TimeSpan Elapsed { get; }

    /// <summary>Reports one event; <paramref name="fields"/> adds its members.</summary>
    void Write(string kind, Action<Utf8JsonWriter>? fields = null);

    /// <summary>
    /// Reports an event that the person who runs the machine should hear of at once, also where no events are kept. <paramref name="sentence"/> says it, and
    /// what to do; in the event it is the member <c>notice</c>.
    /// </summary>
    void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null);
}

/// <summary>How addresses look in events.</summary>
public static class EventFields
{
    /// <summary>An address as a string with 0x.</summary>
    public static void WriteAddress(this Utf8JsonWriter json, string name, GuestAddress address)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteString(name, address.ToString());
    }

    /// <summary>A range as its <c>address</c> and <c>size</c>.</summary>
    public static void WriteRange(this Utf8JsonWriter json, AddressRange range)
    {
        ArgumentNullException.ThrowIfNull(json);
        json.WriteAddress("address", range.Start);
        json.WriteString("size", $"0x{range.Size:x}");
    }
}
