using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Aperture.Configuration.Kinds;
using Aperture.Configuration.Options;

namespace Aperture.Configuration.Json;

/// <summary>Writes the schema of configuration files (JSON Schema 2020-12) from the tables: docs/vm-config.schema.json, which a test compares.</summary>
public static class SchemaWriter
{
    private const string Title = "A virtual machine of Aperture";
    private const string Description =
        "What --config reads: the options of aperture run and aperture plan, written down. Relative file names are relative to the working "
            + "directory, as on the command line.";

    // What the shapes of values mean; bars and resizes are maps from BARs.
    private static readonly KeyValuePair<string, string>[] Definitions =
    [
        new("text", """{ "type": "string" }"""),
        new("file", """{ "type": ["string", "integer"], "description": "a file's name; an expansion ROM's size where one is asked for" }"""),
        new("plain", """{ "type": "string", "pattern": "^[^,\\[\\]]*$" }"""),
        new("name", """{ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }"""),
        new("count", """{ "type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 0 }"""),
        new("number", """{ "type": ["integer", "string"], "pattern": "^(0[xX][0-9a-fA-F]+|[0-9]+)$", "minimum": 0 }"""),
        new("size", """{ "type": ["integer", "string"], "pattern": "^(0[xX][0-9a-fA-F]+|[0-9]+)([KMGTkmgt]([iI][bB])?)?$", "minimum": 0 }"""),
        new("room", """{ "type": ["integer", "string"], "description": "SIZE, or BASE:SIZE" }"""),
        new("onOff", """{ "enum": [true, false, "on", "off"] }"""),
        new("place", """{ "type": "string", "pattern": "^[01]?[0-9a-fA-F](\\.[0-7])?$", "description": "DEVICE.FUNCTION in hexadecimal" }"""),
        new("hostFunction", """{ "type": "string", "pattern": "^([0-9a-fA-F]{1,8}:)?[0-9a-fA-F]{2}:[01][0-9a-fA-F]\\.[0-7]$" }"""),
        new("serial", """{ "type": "string", "pattern": "^(tty|stdio|null|off|file=.+)$" }"""),
        new("bar", """{ "type": "string", "pattern": "^(io|mem32p?|mem64p?):[0-9a-zA-Z]+(:(trap|ram))?$" }"""),
        new("vfBar", """{ "type": "string", "pattern": "^mem(32|64)p?:[0-9a-zA-Z]+$" }"""),
        new("pins",
            """
            { "type": "object", "minProperties": 1, "additionalProperties": false,
              "patternProperties": { "^((vf-)?bar[0-5]|rom)$": { "$ref": "#/$defs/number" } } }
            """),
        new("hostPins",
            """
            { "type": "object",
              "description": "addresses by BAR; \"host\" is the address that the BAR has on the host, \"all\" every BAR without a pin of its own",
              "minProperties": 1, "additionalProperties": false,
              "patternProperties": { "^(bar[0-5]|rom)$": { "oneOf": [{ "$ref": "#/$defs/number" }, { "const": "host" }] }, "^all$": { "const": "host" } } }
            """),
        new("resizes",
            """
            { "oneOf": [{ "type": "string" },
              { "type": "object", "minProperties": 1, "additionalProperties": false, "patternProperties": { "^bar[0-5]$": { "$ref": "#/$defs/size" } } }] }
            """),
        new("window",
            """
            { "oneOf": [{ "type": "string", "description": "BASE:SIZE" },
              { "type": "object", "additionalProperties": false, "required": ["base", "size"],
                "properties": { "base": { "$ref": "#/$defs/size" }, "size": { "$ref": "#/$defs/size" } } }] }
            """),
    ];

    /// <summary>The schema, with a line break at its end.</summary>
    public static string Write()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("$schema", "https://json-schema.org/draft/2020-12/schema");
            json.WriteString("title", Title);
            json.WriteString("description", Description);
            json.WriteString("type", "object");
            json.WriteBoolean("additionalProperties", false);
            json.WriteStartObject("properties");
            Member(json, JsonSettings.SchemaMember, "Ignored; tells editors where this schema is.", () => json.WriteString("type", "string"));
            foreach (MachineOption option in MachineOptions.All.Where(o => o.MemberForm != MemberForm.None))
            {
                Member(json, option.Member, $"{option.Name}: {option.Help}", () => Value(json, option));
            }

            json.WriteEndObject();
            WriteDefinitions(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.ToArray()) + "\n";
    }

    private static void WriteDefinitions(Utf8JsonWriter json)
    {
        json.WriteStartObject("$defs");
        foreach ((string name, string text) in Definitions)
        {
            using JsonDocument definition = JsonDocument.Parse(text);
            json.WritePropertyName(name);
            definition.RootElement.WriteTo(json);
        }

        foreach (MachineOption option in MachineOptions.All.Where(o => o.Table is not null))
        {
            json.WriteStartObject(NameOf(option));
            Table(json, option.Table!, null);
            json.WriteEndObject();
        }

        foreach (DeviceKind kind in DeviceKinds.All)
        {
            json.WriteStartObject(NameOf(kind));
            json.WriteString("description", kind.Help);
            Table(json, kind.Table, kind.Word);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    private static string NameOf(DeviceKind kind) => $"device-{kind.Word}";

    private static string NameOf(MachineOption option) => option.Name.TrimStart('-');

    private static void Member(Utf8JsonWriter json, string name, string help, Action value)
    {
        json.WriteStartObject(name);
        value();
        if (help.Length > 0)
        {
            json.WriteString("description", help);
        }

        json.WriteEndObject();
    }

    private static void Value(Utf8JsonWriter json, MachineOption option)
    {
        switch (option.MemberForm)
        {
            case MemberForm.Number:
                Reference(json, OptionShape.Count.Definition!);
                break;
            case MemberForm.Window:
                Reference(json, "window");
                break;
            case MemberForm.NotFlag:
                json.WriteString("type", "boolean");
                break;
            case MemberForm.Table:
                Reference(json, NameOf(option));
                break;
            case MemberForm.NumberOrTable or MemberForm.SizeOrTable:
                OneOf(json, [option.MemberForm == MemberForm.NumberOrTable ? OptionShape.Count.Definition! : OptionShape.Size.Definition!, NameOf(option)]);
                break;
            case MemberForm.Tables:
                json.WriteString("type", "array");
                json.WriteStartObject("items");
                Reference(json, NameOf(option));
                json.WriteEndObject();
                break;
            case MemberForm.Devices:
                json.WriteString("type", "array");
                json.WriteStartObject("items");
                OneOf(json, DeviceKinds.All.Select(NameOf));
                json.WriteEndObject();
                break;
            default:
                // A member is a string, whatever the option's value looks like; a list's members may be numbers too.
                if (option.Shape == OptionShape.File)
                {
                    json.WriteString("type", "string");
                }
                else
                {
                    Shape(json, option.Shape);
                }

                break;
        }
    }

    private static void Table(Utf8JsonWriter json, OptionTable table, string? type)
    {
        json.WriteString("type", "object");
        json.WriteBoolean("additionalProperties", false);
        string[] required = [.. type is null ? Array.Empty<string>() : ["type"], .. table.Entries.Where(e => e.Required).Select(e => e.Key)];
        if (required.Length > 0)
        {
            Strings(json, "required", required);
        }

        json.WriteStartObject("properties");
        if (type is not null)
        {
            Member(json, "type", "", () => json.WriteString("const", type));
        }

        foreach (OptionEntry entry in table.Entries)
        {
            Member(json, entry.Key, entry.Help, () => Shape(json, entry.Shape));
        }

        json.WriteEndObject();
    }

    private static void Shape(Utf8JsonWriter json, OptionShape shape)
    {
        if (shape.Definition is { } definition)
        {
            Reference(json, definition);
        }
        else
        {
            Strings(json, "enum", shape.Words);
        }
    }

    private static void Reference(Utf8JsonWriter json, string definition) => json.WriteString("$ref", $"#/$defs/{definition}");

    private static void OneOf(Utf8JsonWriter json, IEnumerable<string> definitions)
    {
        json.WriteStartArray("oneOf");
        foreach (string definition in definitions)
        {
            json.WriteStartObject();
            Reference(json, definition);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void Strings(Utf8JsonWriter json, string name, IEnumerable<string> values)
    {
        json.WriteStartArray(name);
        foreach (string value in values)
        {
            json.WriteStringValue(value);
        }

        json.WriteEndArray();
    }
}
