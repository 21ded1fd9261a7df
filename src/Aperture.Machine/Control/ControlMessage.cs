using System.Globalization;
using System.Text;
using System.Text.Json;
using Aperture.Linux;

namespace Aperture.Machine.Control;

/// <summary>
/// One request of the control channel: a JSON object on a line, <c>{"command":"verify"}</c>, whose other members are strings, numbers, booleans or lists of
/// strings.
/// </summary>
/// <param name="Command">The command's name.</param>
/// <param name="Members">The other members that are no lists, as text.</param>
public sealed record ControlRequest(string Command, IReadOnlyDictionary<string, string> Members)
{
    /// <summary>The longest line of a request, in bytes without its end.</summary>
    public const int MaxLength = 64 << 10;

    /// <summary>The most descriptors that travel with a request.</summary>
    public const int MaxDescriptors = 8;

    private const string DescriptorsMember = "descriptors";
    private const int MaxMembers = 16;
    private const int MaxItems = 16;

    /// <summary>The members that are lists.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<string>> Lists { get; init; } = new Dictionary<string, IReadOnlyList<string>>();

    /// <summary>
    /// Open files that travel with the request (SCM_RIGHTS of unix(7)), by the numbers that the client knows them by; the line has these as
    /// <c>"descriptors":["7"]</c>, in the files' order. Owned by who sent or received the request; who keeps one moves it out.
    /// </summary>
    public IReadOnlyDictionary<int, SafeFileDescriptor> Descriptors { get; init; } = new Dictionary<int, SafeFileDescriptor>();

    /// <summary>The request with the files that came with it.</summary>
    /// <exception cref="ApertureException">They are not those that the line tells of.</exception>
    public ControlRequest With(IReadOnlyList<SafeFileDescriptor> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        IReadOnlyList<string> names = Lists.GetValueOrDefault(DescriptorsMember, []);
        if (names.Count != files.Count)
        {
            throw new ApertureException(
                $"The request tells of {names.Count} descriptors and {files.Count} came with it; \"{DescriptorsMember}\" lists the numbers of those that "
                    + "are sent.");
        }

        Dictionary<int, SafeFileDescriptor> known = [];
        foreach ((string name, SafeFileDescriptor file) in names.Zip(files))
        {
            Expect(int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && known.TryAdd(number, file),
                $"\"{DescriptorsMember}\" is not a list of different numbers");
        }

        return this with { Descriptors = known };
    }

    /// <summary>A member that has to be there.</summary>
    /// <exception cref="ApertureException">It is not.</exception>
    public string Require(string name) => Members.TryGetValue(name, out string? value) && value.Length > 0
        ? value
        : throw new ApertureException($"The command {Command} needs \"{name}\".");

    /// <summary>True when a member is there and true.</summary>
    public bool Has(string name) => Members.TryGetValue(name, out string? value) && value == "true";

    /// <summary>Reads a line.</summary>
    /// <exception cref="ApertureException">It is not a request; one sentence.</exception>
    public static ControlRequest Parse(ReadOnlySpan<byte> line)
    {
        Dictionary<string, string> members = [];
        Dictionary<string, IReadOnlyList<string>> lists = [];
        try
        {
            Utf8JsonReader reader = new(line, new JsonReaderOptions { MaxDepth = 2 });
            Expect(reader.Read() && reader.TokenType == JsonTokenType.StartObject, "it is not a JSON object");
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                string name = reader.GetString()!;
                Expect(members.Count + lists.Count < MaxMembers, "it has too many members");
                Expect(!members.ContainsKey(name) && !lists.ContainsKey(name), $"\"{name}\" is there twice");
                Expect(reader.Read(), "it does not end with the object");
                if (reader.TokenType == JsonTokenType.StartArray)
                {
                    lists.Add(name, List(ref reader, name));
                    continue;
                }

                Expect(reader.TokenType is JsonTokenType.String or JsonTokenType.Number or JsonTokenType.True or JsonTokenType.False,
                    $"\"{name}\" is neither text nor number nor true or false nor a list of texts");
                members.Add(name, reader.TokenType == JsonTokenType.String ? reader.GetString()! : Encoding.UTF8.GetString(reader.ValueSpan));
            }

            Expect(reader.TokenType == JsonTokenType.EndObject && !reader.Read(), "it does not end with the object");
        }
        catch (Exception fault) when (fault is JsonException or InvalidOperationException or DecoderFallbackException)
        {
            throw new ApertureException("The request is not JSON in UTF-8 on one line.", innerException: fault);
        }

        return members.Remove("command", out string? command)
            ? new ControlRequest(command, members) { Lists = lists }
            : throw new ApertureException("The request has no \"command\".");
    }

    /// <summary>The request as a line, without its end.</summary>
    public byte[] ToLine()
    {
        using MemoryStream line = new();
        using (Utf8JsonWriter json = new(line))
        {
            json.WriteStartObject();
            json.WriteString("command", Command);
            foreach ((string name, string value) in Members)
            {
                json.WriteString(name, value);
            }

            foreach ((string name, IReadOnlyList<string> items) in Lists)
            {
                json.WriteStartArray(name);
                foreach (string item in items)
                {
                    json.WriteStringValue(item);
                }

                json.WriteEndArray();
            }

            if (Descriptors.Count > 0)
            {
                json.WriteStartArray(DescriptorsMember);
                foreach (int number in Descriptors.Keys)
                {
                    json.WriteStringValue(number.ToString(CultureInfo.InvariantCulture));
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        return line.ToArray();
    }

    private static List<string> List(ref Utf8JsonReader reader, string name)
    {
        List<string> items = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.String)
        {
            Expect(items.Count < MaxItems, $"\"{name}\" has too many items");
            items.Add(reader.GetString()!);
        }

        Expect(reader.TokenType == JsonTokenType.EndArray, $"\"{name}\" is a list of something else than texts");
        return items;
    }

    private static void Expect(bool holds, string what)
    {
        if (!holds)
        {
            throw new ApertureException($"The request is malformed: {what}.");
        }
    }
}

/// <summary>What carries out the requests of the control channel.</summary>
public interface IControlCommands
{
    /// <summary>Carries out <paramref name="request"/> and writes the members of its answer. Called on a thread of the client's, several at once.</summary>
    /// <param name="request">The request.</param>
    /// <param name="answer">Inside an object.</param>
    /// <param name="ended">Cancelled when the machine ends.</param>
    /// <exception cref="ApertureException">It cannot be; the sentence goes to the client.</exception>
    void Execute(ControlRequest request, Utf8JsonWriter answer, CancellationToken ended);
}
