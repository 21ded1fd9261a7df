using System.Text.Json;
using Aperture.Memory;

namespace Aperture.Watch;

/// <summary>Reports memory slots as they come and go. Added after the listener that drives them, so that what it reports is done.</summary>
/// <param name="slots">That listener.</param>
/// <param name="events">Where to report.</param>
/// <param name="mode">The processor mode that alone sees these slots; null when every other does.</param>
public sealed class SlotEvents(SlotListener slots, IEventSink events, string? mode = null) : IFlatViewListener
{
    private IReadOnlyList<MemorySlot> _known = [];
    private IReadOnlyList<TrappedRange> _trapped = [];

    /// <inheritdoc/>
    public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
    {
        if (!events.Enabled)
        {
            return;
        }

        MemorySlot[] now = [.. slots.Slots];
        foreach (MemorySlot slot in _known.Except(now))
        {
            events.Write("slot.removed", json => Describe(json, slot));
        }

        foreach (MemorySlot slot in now.Except(_known))
        {
            events.Write("slot.added", json => Describe(json, slot));
        }

        TrappedRange[] trapped = [.. slots.Trapped];
        foreach (TrappedRange range in trapped.Except(_trapped))
        {
            events.Write("slot.refused", json =>
            {
                json.WriteString("region", range.Region.Name);
                json.WriteRange(range.Range);
                json.WriteString("reason", range.Reason);
                WriteMode(json);
            });
        }

        _known = now;
        _trapped = trapped;
    }

    private void Describe(Utf8JsonWriter json, MemorySlot slot)
    {
        json.WriteString("region", slot.Region.Name);
        json.WriteRange(slot.Range);
        json.WriteBoolean("readonly", slot.IsReadOnly);
        WriteMode(json);
    }

    private void WriteMode(Utf8JsonWriter json)
    {
        if (mode is not null)
        {
            json.WriteString("mode", mode);
        }
    }
}
