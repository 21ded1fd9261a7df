using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;
using Aperture.Placement.Search;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Report;

/// <summary>A map, or the conflicts that prevent one, as JSON: docs/plan.schema.json. The same input gives the same bytes. Addresses and sizes are
/// hexadecimal strings, because many readers of JSON keep only 53 bits of a number.</summary>
public static class JsonRenderer
{
    /// <summary>The version of the structure. Members may be added without a new one.</summary>
    public const int FormatVersion = 1;

    private static readonly JsonWriterOptions Options = new()
    {
        Indented = true,
        NewLine = "\n",
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,

        // Two levels for each bridge, and bridges nest as deep as there are bus numbers.
        MaxDepth = 2048,
    };

    /// <summary>The map, ended by <c>\n</c>.</summary>
    public static string Render(PlanReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        return Document(json =>
        {
            Head(json, "map", report.Request.Platform.PhysicalAddressBits, report.AddressBitsOrigin);
            json.WriteNumber("layoutVersion", report.Map.LayoutVersion);
            Memory(json, report);
            Metrics(json, report.Map.Metrics);
            HostBridges(json, report);
            if (report.Peers.Count > 0)
            {
                Each(json, "peers", report.Peers, row => Peer(json, row));
            }

            if (report.Notes.Count > 0)
            {
                Each(json, "notes", report.Notes, json.WriteStringValue);
            }
        });
    }

    /// <summary>The conflicts, ended by <c>\n</c>.</summary>
    public static string RenderConflicts(PlacementRequest request, IReadOnlyList<PlacementConflict> conflicts, string addressBitsOrigin)
    {
        ArgumentNullException.ThrowIfNull(request);
        return Document(json =>
        {
            Head(json, "conflicts", request.Platform.PhysicalAddressBits, addressBitsOrigin);
            Each(json, "conflicts", conflicts, conflict => ConflictJson.Write(json, conflict));
        });
    }

    /// <summary>A range as an object, or null for an absent or empty one.</summary>
    internal static void Range(Utf8JsonWriter json, string name, AddressRange? range)
    {
        if (range is not { IsEmpty: false } present)
        {
            json.WriteNull(name);
            return;
        }

        json.WriteStartObject(name);
        RangeMembers(json, present);
        json.WriteEndObject();
    }

    internal static string Hex(ulong value) => $"0x{value:x}";

    private static void RangeMembers(Utf8JsonWriter json, AddressRange range)
    {
        json.WriteString("start", Hex(range.Start.Value));
        json.WriteString("last", Hex(range.Last.Value));
        json.WriteString("size", Hex(range.Size));
    }

    private static string Document(Action<Utf8JsonWriter> write)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer, Options))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan) + "\n";
    }

    private static void Head(Utf8JsonWriter json, string result, int bits, string origin)
    {
        json.WriteString("format", "aperture-plan");
        json.WriteNumber("formatVersion", FormatVersion);
        json.WriteString("result", result);
        json.WriteNumber("physicalAddressBits", bits);
        json.WriteString("physicalAddressBitsOrigin", origin);
    }

    private static void Memory(Utf8JsonWriter json, PlanReport report)
    {
        PlacementMap map = report.Map;
        Each(json, "ram", map.Ram.Pieces.Where(p => !p.IsEmpty), piece => Object(json, () => RangeMembers(json, piece)));
        Range(json, "lowHole", map.Ram.LowHole);
        if (map.Ram.Registers is { } registers)
        {
            json.WriteStartObject("registers");
            json.WriteString("tom", Hex(registers.Tom.Value));
            json.WriteString("tolud", Hex(registers.Tolud.Value));
            json.WriteString("touud", Hex(registers.Touud.Value));
            json.WriteString("remapBase", Hex(registers.RemapBase.Value));
            json.WriteString("remapLimit", Hex(registers.RemapLimit.Value));
            json.WriteEndObject();
        }

        Each(json, "ecam", map.Ecams, ecam => Object(json, () =>
        {
            json.WriteNumber("segment", ecam.Segment);
            RangeMembers(json, ecam.Range);
        }));
        Reserved(json, "reserved", report.Request.Platform.Reserved);
        Reserved(json, "reservedPorts", report.Request.Platform.ReservedIo);
    }

    private static void Reserved(Utf8JsonWriter json, string name, IReadOnlyList<ReservedRange> ranges) =>
        Each(json, name, ranges.Where(r => !r.Range.IsEmpty).OrderBy(r => r.Range), range => Object(json, () =>
        {
            RangeMembers(json, range.Range);
            json.WriteString("origin", range.Origin);
        }));

    private static void Metrics(Utf8JsonWriter json, LayoutMetrics metrics)
    {
        json.WriteStartObject("metrics");
        json.WriteString("holeSize", Hex(metrics.HoleSize));
        json.WriteString("holeUsed", Hex(metrics.HoleUsed));
        Range(json, "largestGap", metrics.LargestGap);
        json.WriteNumber("gaps", metrics.Gaps);
        json.WriteString("highUsed", Hex(metrics.HighUsed));
        json.WriteString("highEnd", Hex(metrics.HighEnd.Value));
        json.WriteEndObject();
    }

    private static void HostBridges(Utf8JsonWriter json, PlanReport report)
    {
        Dictionary<BarPlacement, BarRow> rows = new(ReferenceEqualityComparer.Instance);
        foreach (BarRow row in BarRow.All(report))
        {
            rows.TryAdd(row.Bar, row);
        }

        Each(json, "hostBridges", report.Map.HostBridges, host => Object(json, () =>
        {
            json.WriteString("name", host.Name);
            json.WriteNumber("segment", host.Segment);
            json.WriteNumber("firstBus", host.FirstBus);
            json.WriteNumber("lastBus", host.LastBus);
            Each(json, "ioWindows", host.IoWindows, w => Object(json, () => RangeMembers(json, w)));
            Each(json, "memory32Windows", host.Mmio32Windows, w => Object(json, () => RangeMembers(json, w)));
            Each(json, "memory64Windows", host.Mmio64Windows, w => Object(json, () => RangeMembers(json, w)));
            Functions(json, host.Functions, rows);
        }));
    }

    private static void Functions(Utf8JsonWriter json, IReadOnlyList<FunctionPlacement> functions, Dictionary<BarPlacement, BarRow> rows) =>
        Each(json, "functions", functions, function => Object(json, () =>
        {
            json.WriteString("name", function.Name);
            json.WriteString("address", function.Address.ToString());
            Each(json, "bars", function.Bars, bar => Bar(json, bar, rows[bar]));
            if (function.Bridge is { } bridge)
            {
                json.WriteStartObject("bridge");
                json.WriteNumber("primary", bridge.Primary);
                json.WriteNumber("secondary", bridge.Secondary);
                json.WriteNumber("subordinate", bridge.Subordinate);
                Range(json, "io", bridge.Io);
                Range(json, "memory", bridge.Memory);
                Range(json, "prefetchable", bridge.Prefetchable);
                Functions(json, bridge.Functions, rows);
                json.WriteEndObject();
            }
        }));

    private static void Bar(Utf8JsonWriter json, BarPlacement bar, BarRow row) => Object(json, () =>
    {
        json.WriteString("bar", row.BarName);
        json.WriteString("kind", bar.Demand.Kind.Keyword());
        json.WriteString("decodes", Hex(bar.Size));
        RangeMembers(json, bar.Range);
        json.WriteString("window", row.Window);
        json.WriteString("rule", Rule(bar.Why.Kind));
        json.WriteString("why", bar.Why.Text);
        if (row.Host is { } host)
        {
            json.WriteString("hostAddress", Hex(host.Value));
        }
    });

    private static void Peer(Utf8JsonWriter json, PeerRow row) => Object(json, () =>
    {
        json.WriteString("from", row.From);
        json.WriteString("to", row.To);
        json.WriteString("bar", BarIndex.Name(row.Bar));
        RangeMembers(json, row.Range);
        if (row.Reaches is { } reaches)
        {
            json.WriteBoolean("reaches", reaches);
        }
        else
        {
            json.WriteNull("reaches");
        }

        json.WriteString("why", row.Why);
        json.WriteString("path", row.Path);
    });

    private static string Rule(PlacementReasonKind kind) => kind switch
    {
        PlacementReasonKind.Pinned => "pinned",
        PlacementReasonKind.FirstFit => "first-fit",
        PlacementReasonKind.Pushed => "pushed",
        _ => "bridge-window",
    };

    internal static void Each<T>(Utf8JsonWriter json, string name, IEnumerable<T> items, Action<T> write)
    {
        json.WriteStartArray(name);
        foreach (T item in items)
        {
            write(item);
        }

        json.WriteEndArray();
    }

    internal static void Object(Utf8JsonWriter json, Action write)
    {
        json.WriteStartObject();
        write();
        json.WriteEndObject();
    }
}
