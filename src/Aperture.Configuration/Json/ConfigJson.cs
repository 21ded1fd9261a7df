using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Aperture.Configuration.Json;

/// <summary>One value of a configuration file, with where it stands.</summary>
/// <param name="Kind">The token it starts with; an object and an array have no <paramref name="Text"/>.</param>
/// <param name="Text">A string's content, or a number, <c>true</c>, <c>false</c> or <c>null</c> as written.</param>
/// <param name="Path">As in <c>$.devices[0].id</c>.</param>
/// <param name="Line">From 1.</param>
internal sealed record ConfigValue(JsonTokenType Kind, string Text, string Path, int Line)
{
    /// <summary>An object's members in the order written; names are unique.</summary>
    public List<KeyValuePair<string, ConfigValue>> Members { get; } = [];

    /// <summary>An array's items.</summary>
    public List<ConfigValue> Items { get; } = [];

    /// <summary>What it is, for messages.</summary>
    public string KindName => Kind switch
    {
        JsonTokenType.StartObject => "an object",
        JsonTokenType.StartArray => "an array",
        JsonTokenType.String => "a string",
        JsonTokenType.Number => "a number",
        JsonTokenType.True or JsonTokenType.False => "a boolean",
        _ => "null",
    };
}

/// <summary>
/// Reads JSON (RFC 8259; no comments, no trailing commas) into values that know their line, which a report about a configuration file needs and the
/// library's document does not keep.
/// </summary>
internal ref struct ConfigJson
{
    /// <summary>The deepest nesting read; the schema needs four levels.</summary>
    public const int MaxDepth = 16;

    private readonly ReadOnlySpan<byte> _text;
    private readonly string _file;
    private Utf8JsonReader _reader;
    private int _line = 1;
    private int _counted;

    private ConfigJson(ReadOnlySpan<byte> text, string file)
    {
        _text = text;
        _file = file;
        _reader = new Utf8JsonReader(text, new JsonReaderOptions { MaxDepth = MaxDepth });
    }

    /// <summary>The one value that <paramref name="text"/> (UTF-8, a byte order mark is skipped) holds.</summary>
    /// <exception cref="ApertureException">It is not JSON, is nested deeper than <see cref="MaxDepth"/>, or names a member twice.</exception>
    public static ConfigValue Parse(ReadOnlySpan<byte> text, string file)
    {
        ReadOnlySpan<byte> mark = [0xEF, 0xBB, 0xBF];
        ConfigJson json = new(text.StartsWith(mark) ? text[mark.Length..] : text, file);
        try
        {
            json._reader.Read();
            ConfigValue value = json.Value("$");
            json._reader.Read();
            return value;
        }
        catch (JsonException fault)
        {
            throw Fault(file, (int)Math.Min(fault.LineNumber ?? 0, int.MaxValue - 1) + 1, "$", $"not JSON: {Reason(fault)}");
        }
    }

    /// <summary>A failure with its place. Control characters of the file do not reach the terminal.</summary>
    public static ApertureException Fault(string file, int line, string path, string sentence)
    {
        StringBuilder text = new($"{file}:{line.ToString(CultureInfo.InvariantCulture)}: {path}: {sentence}");
        for (int i = 0; i < text.Length; i++)
        {
            text[i] = char.IsControl(text[i]) ? '?' : text[i];
        }

        return new ApertureException(text.ToString());
    }

    // The library appends the place, which the sentence already starts with.
    private static string Reason(JsonException fault)
    {
        int place = fault.Message.IndexOf(" LineNumber:", StringComparison.Ordinal);
        return place < 0 ? fault.Message : fault.Message[..place];
    }

    private ConfigValue Value(string path)
    {
        int line = Line();
        JsonTokenType kind = _reader.TokenType;
        ConfigValue value = new(kind, Text(kind, path, line), path, line);
        if (kind == JsonTokenType.StartObject)
        {
            ReadMembers(value);
        }
        else if (kind == JsonTokenType.StartArray)
        {
            while (Next() != JsonTokenType.EndArray)
            {
                value.Items.Add(Value($"{path}[{value.Items.Count.ToString(CultureInfo.InvariantCulture)}]"));
            }
        }

        return value;
    }

    private void ReadMembers(ConfigValue value)
    {
        HashSet<string> names = new(StringComparer.Ordinal);
        while (Next() != JsonTokenType.EndObject)
        {
            int line = Line();
            string name = Text(JsonTokenType.String, value.Path, line);
            if (!names.Add(name))
            {
                throw Fault(_file, line, value.Path, $"\"{name}\" is given twice; give it once.");
            }

            Next();
            value.Members.Add(new(name, Value($"{value.Path}.{name}")));
        }
    }

    private JsonTokenType Next()
    {
        _reader.Read();
        return _reader.TokenType;
    }

    private readonly string Text(JsonTokenType kind, string path, int line)
    {
        if (kind is JsonTokenType.StartObject or JsonTokenType.StartArray)
        {
            return "";
        }

        if (kind != JsonTokenType.String)
        {
            return Encoding.ASCII.GetString(_reader.ValueSpan);
        }

        try
        {
            return _reader.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw Fault(_file, line, path, "a string is not valid UTF-8, or has half of a surrogate pair.");
        }
    }

    private int Line()
    {
        int at = (int)_reader.TokenStartIndex;
        _line += _text[_counted..at].Count((byte)'\n');
        _counted = at;
        return _line;
    }
}
