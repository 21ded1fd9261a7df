using System.Text.Encodings.Web;
using System.Text.Json;

namespace Aperture.Doctor.Output;

/// <summary>A diagnosis for programs.</summary>
public static class DiagnosisJson
{
    // Sentences are to be read: quotes and comparisons stay as they are.
    private static readonly JsonWriterOptions Options = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes it as indented JSON.</summary>
    public static void Write(Stream output, Diagnosis diagnosis)
    {
        ArgumentNullException.ThrowIfNull(diagnosis);
        using Utf8JsonWriter json = new(output, Options);
        json.WriteStartObject();
        json.WriteString("source", diagnosis.Host.Origin.Name);
        json.WriteBoolean("canBeReached", diagnosis.CanBeReached);
        json.WriteStartObject("goals");
        foreach (Goals goal in GoalWords.Each(diagnosis.Goals))
        {
            json.WriteString(GoalWords.Of(goal), Word(diagnosis.Of(goal)));
        }

        json.WriteEndObject();
        Strings(json, "devices", diagnosis.Devices.Select(static device => device.Address.ToString()));
        json.WriteStartArray("verdicts");
        foreach (Verdict verdict in diagnosis.Verdicts)
        {
            json.WriteStartObject();
            json.WriteString("kind", DiagnosisText.Word(verdict.Kind));
            json.WriteString("check", verdict.Check);
            Strings(json, "goals", GoalWords.Each(verdict.Goals).Select(GoalWords.Of));
            Strings(json, "functions", verdict.Functions.Select(static address => address.ToString()));
            json.WriteString("means", verdict.Means);
            json.WriteString("seen", verdict.Seen);
            Strings(json, "changes", verdict.Changes);
            json.WriteBoolean("decides", verdict.Kind == VerdictKind.Cannot || verdict is { Kind: VerdictKind.Unknown, Decides: true });
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static string Word(Reachability reachability) => reachability switch
    {
        Reachability.Yes => "yes",
        Reachability.No => "no",
        _ => "unknown",
    };

    private static void Strings(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
        {
            json.WriteStringValue(text);
        }

        json.WriteEndArray();
    }
}
