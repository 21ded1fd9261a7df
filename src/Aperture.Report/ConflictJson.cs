using System.Text.Json;
using Aperture.Placement.Map;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;

namespace Aperture.Report;

/// <summary>A conflict as data.</summary>
internal static class ConflictJson
{
    public static void Write(Utf8JsonWriter json, PlacementConflict conflict)
    {
        json.WriteStartObject();
        json.WriteString("kind", Word(conflict.Kind.ToString()));
        json.WriteString("sentence", conflict.Sentence);
        Party(json, "demand", conflict.Demand);
        Party(json, "obstacle", conflict.Obstacle);
        JsonRenderer.Range(json, "nearestBelow", conflict.NearestBelow);
        JsonRenderer.Range(json, "nearestAbove", conflict.NearestAbove);
        Remedy(json, conflict.Remedy);
        json.WriteEndObject();
    }

    // The kinds are spelled as words with dashes: NotPowerOfTwo is not-power-of-two.
    private static string Word(string name) =>
        string.Concat(name.Select((c, i) => char.IsAsciiLetterUpper(c) ? (i > 0 ? "-" : "") + char.ToLowerInvariant(c) : c.ToString()));

    private static void Party(Utf8JsonWriter json, string name, ConflictParty? party)
    {
        if (party is null)
        {
            json.WriteNull(name);
            return;
        }

        json.WriteStartObject(name);
        json.WriteString("name", party.Name);
        JsonRenderer.Range(json, "range", party.Range);
        Subject(json, party.Function, party.Bar);
        json.WriteEndObject();
    }

    private static void Remedy(Utf8JsonWriter json, Remedy? remedy)
    {
        if (remedy is null)
        {
            json.WriteNull("remedy");
            return;
        }

        json.WriteStartObject("remedy");
        json.WriteString("kind", Word(remedy.Kind.ToString()));
        json.WriteString("text", remedy.Text);
        Subject(json, remedy.Function, remedy.Bar);
        JsonRenderer.Range(json, "range", remedy.Range);
        if (remedy.Value is { } value)
        {
            json.WriteString("value", JsonRenderer.Hex(value));
        }
        else
        {
            json.WriteNull("value");
        }

        json.WriteEndObject();
    }

    private static void Subject(Utf8JsonWriter json, string? function, int? bar)
    {
        json.WriteString("function", function);
        json.WriteString("bar", bar is { } index ? BarIndex.Name(index) : null);
    }
}
