using System.Globalization;
using System.Text.Json;
using Aperture.Pci;

namespace Aperture.Cli.Demo;

/// <summary>What Aperture did, read from its event log: where BARs decoded last, and which memory slots there were at the end.</summary>
internal sealed class EventReport
{
    private readonly Dictionary<string, (Bdf Bdf, GuestAddress Address)> _decoded = [];
    private Dictionary<string, (Bdf Bdf, GuestAddress Address)>? _firmwares;
    private Dictionary<(string Function, int Bar), ulong>? _firmwareWrote;
    private readonly Dictionary<(string Function, int Bar), ulong> _written = [];
    private readonly HashSet<(string Region, GuestAddress Address)> _slots = [];

    /// <summary>The operating system took the machine over from firmware.</summary>
    public bool IsHandedOver => _firmwares is not null;

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

    /// <summary>
    /// What firmware wrote last to each BAR's registers, put together; until the handover if there was one. A BAR whose pin is in force reads and decodes
    /// elsewhere.
    /// </summary>
    public IReadOnlyDictionary<(string Function, int Bar), ulong> Written => _firmwareWrote ?? _written;

    /// <summary>Where <c>FUNCTION.bar</c> decoded last while firmware had the machine; null when it never did.</summary>
    public GuestAddress? FirmwareDecoded(string region) => (_firmwares ?? _decoded).TryGetValue(region, out var found) ? found.Address : null;

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
            case "bar.programmed":
                _written[(Text(json, "function"), Bar(json))] = Address(json).Value;
                break;
            case "bar.move_refused":
                _written[(Text(json, "function"), Bar(json))] = Number(Text(json, "asked"));
                break;
            case "handover":
                _firmwares = new(_decoded);
                _firmwareWrote = new(_written);
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

    private static GuestAddress Address(JsonElement json) => new(Number(Text(json, "address")));

    private static ulong Number(string text) =>
        ByteSize.TryParseNumber(text, out ulong number)
            ? number : throw new JsonException(string.Create(CultureInfo.InvariantCulture, $"'{text}' is not an address"));

    private static int Bar(JsonElement json) => Text(json, "bar") is ['b', 'a', 'r', >= '0' and <= '5' and char index] ? index - '0' : BarKinds.RomIndex;
}
