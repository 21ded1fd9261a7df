using System.Globalization;
using System.Text.Json;

namespace Aperture.Cli.Demo;

/// <summary>What Aperture did, read from its event log: where BARs decoded last, and which memory slots there were at the end.</summary>
internal sealed class EventReport
{
    private readonly Dictionary<string, (Bdf Bdf, GuestAddress Address)> _decoded = [];
    private readonly HashSet<(string Region, GuestAddress Address)> _slots = [];

    /// <summary>How the run ended: the last <c>guest.*</c> or <c>machine.exit</c> event.</summary>
    public string? End { get; private set; }

    /// <summary>Reads the lines of an event log; a last line that is cut off is passed over.</summary>
    public static EventReport Read(IEnumerable<string> lines)
    {
        EventReport report = new();
        foreach (string line in lines)
        {
            try
            {
                using JsonDocument json = JsonDocument.Parse(line);
                report.Take(json.RootElement);
            }
            catch (JsonException)
            {
                // The writer was ended in the middle of a line.
            }
        }

        return report;
    }

    /// <summary>Where <c>FUNCTION.bar</c> decoded last, and the function's routing id then; null when it never did.</summary>
    public (Bdf Bdf, GuestAddress Address)? Decoded(string region) => _decoded.TryGetValue(region, out var found) ? found : null;

    /// <summary>True when the region is a memory slot at <paramref name="address"/>.</summary>
    public bool HasSlot(string region, GuestAddress address) => _slots.Contains((region, address));

    private void Take(JsonElement json)
    {
        string kind = Text(json, "event");
        switch (kind)
        {
            case "bar.decoded" when Bdf.TryParse(Text(json, "bdf"), out Bdf bdf):
                _decoded[$"{Text(json, "function")}.{Text(json, "bar")}"] = (bdf, Address(json));
                break;
            case "slot.added":
                _slots.Add((Text(json, "region"), Address(json)));
                break;
            case "slot.removed":
                _slots.Remove((Text(json, "region"), Address(json)));
                break;
            case "guest.poweroff" or "guest.reset" or "machine.exit":
                End = kind;
                break;
        }
    }

    private static string Text(JsonElement json, string name) => json.TryGetProperty(name, out JsonElement value) ? value.GetString() ?? "" : "";

    private static GuestAddress Address(JsonElement json) =>
        ByteSize.TryParseNumber(Text(json, "address"), out ulong address) ? new GuestAddress(address) : throw new JsonException(
            string.Create(CultureInfo.InvariantCulture, $"'{Text(json, "address")}' is not an address"));
}
