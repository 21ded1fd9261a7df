using System.Text.Json;
using Aperture.Configuration.Kinds;
using Aperture.Configuration.Options;

namespace Aperture.Configuration.Json;

/// <summary>A setting and where it stands in its file.</summary>
/// <param name="Setting">What is set.</param>
/// <param name="Source">Where it stands.</param>
internal sealed record PlacedSetting(Setting Setting, ConfigValue Source);

/// <summary>Turns a configuration file's values into settings, by the tables that the command line has too.</summary>
internal sealed class JsonSettings(string file)
{
    /// <summary>The member that tells editors where the schema is.</summary>
    public const string SchemaMember = "$schema";

    private static readonly string[] WindowMembers = ["base", "size"];
    private static readonly string[] Members = [SchemaMember, .. MachineOptions.All.Where(o => o.MemberForm != MemberForm.None).Select(o => o.Member)];
    private readonly List<PlacedSetting> _settings = [];

    /// <summary>The settings that <paramref name="root"/> states, in its order.</summary>
    /// <exception cref="ApertureException">An unknown member, or a value of the wrong kind.</exception>
    public List<PlacedSetting> Read(ConfigValue root)
    {
        Expect(root, JsonTokenType.StartObject);
        foreach ((string name, ConfigValue value) in root.Members)
        {
            Known(value, name, "a configuration", Members);
            if (name == SchemaMember)
            {
                Expect(value, JsonTokenType.String);
            }
            else
            {
                Member(MachineOptions.All.First(o => o.Member == name), value);
            }
        }

        return _settings;
    }

    private void Member(MachineOption option, ConfigValue value)
    {
        bool isObject = value.Kind == JsonTokenType.StartObject;
        switch (option.MemberForm)
        {
            case MemberForm.NotFlag:
                if (!Boolean(value))
                {
                    Add(option, value, "");
                }

                break;
            case MemberForm.Table:
            case MemberForm.NumberOrTable or MemberForm.SizeOrTable when isObject:
                Add(option, value, List(value, "", option.Table!));
                break;
            case MemberForm.SizeOrTable:
                Add(option, value, Item(value, OptionShape.Size));
                break;
            case MemberForm.Number or MemberForm.NumberOrTable:
                Add(option, value, Scalar(value));
                break;
            case MemberForm.Window when isObject:
                Add(option, value, Window(value));
                break;
            case MemberForm.Tables:
                Each(value, item => Add(option, item, List(item, "", option.Table!)));
                break;
            case MemberForm.Devices:
                Each(value, item => Add(option, item, Device(item)));
                break;
            default:
                Expect(value, JsonTokenType.String);
                Add(option, value, value.Text);
                break;
        }
    }

    private void Add(MachineOption option, ConfigValue source, string text) => _settings.Add(new(new Setting(option.Name, text), source));

    private void Add(MachineOption option, ConfigValue source, OptionList list) => _settings.Add(new(new Setting(option.Name, list), source));

    private OptionList Device(ConfigValue value)
    {
        Expect(value, JsonTokenType.StartObject);
        ConfigValue? type = Find(value, "type");
        string word = type is null ? throw Fault(value, $"a device needs a \"type\": {DeviceKinds.Words}.") : Item(type, OptionShape.Plain);
        return DeviceKinds.Find(word) is { } kind
            ? List(value, word, kind.Table)
            : throw Fault(type, $"'{word}' is not a device; there are {DeviceKinds.Words}.");
    }

    private OptionList List(ConfigValue value, string head, OptionTable table)
    {
        Expect(value, JsonTokenType.StartObject);
        string[] known = [.. head.Length > 0 ? ["type"] : Array.Empty<string>(), .. table.Entries.Select(e => e.Key)];
        OptionList list = new(table.Option, head);
        foreach ((string name, ConfigValue member) in value.Members)
        {
            Known(member, name, table.What, known);
            if (table.Entries.FirstOrDefault(e => e.Key == name) is { } entry)
            {
                list.Add(entry.Shape.IsMap && (member.Kind == JsonTokenType.StartObject || entry.Repeatable)
                    ? OptionItem.Of(name, Map(member))
                    : new OptionItem(name, Item(member, entry.Shape)));
            }
        }

        return list;
    }

    private string[] Map(ConfigValue value)
    {
        Expect(value, JsonTokenType.StartObject);
        return value.Members.Count > 0
            ? [.. value.Members.Select(m => $"{Plain(m.Value, m.Key)}@{Item(m.Value, OptionShape.Plain)}")]
            : throw Fault(value, "no BAR is pinned here; name one, such as \"bar2\": \"0x6b8000000000\", or leave the member out.");
    }

    private string Window(ConfigValue value)
    {
        foreach ((string name, ConfigValue member) in value.Members)
        {
            Known(member, name, "a window", WindowMembers);
        }

        string Part(string name) => Find(value, name) is { } part
            ? Item(part, OptionShape.Size)
            : throw Fault(value, $"a window needs \"{name}\", as in {{\"base\": \"0x6b8000000000\", \"size\": \"512G\"}}.");
        return $"{Part("base")}:{Part("size")}";
    }

    // Only names of files and free text may have what is punctuation on the command line.
    private string Item(ConfigValue value, OptionShape shape) => value.Kind switch
    {
        JsonTokenType.True => "on",
        JsonTokenType.False => "off",
        JsonTokenType.String => shape.IsFree ? value.Text : Plain(value, value.Text),
        JsonTokenType.Number => value.Text,
        _ => throw Fault(value, $"{value.KindName} cannot stand here; write a string or a number."),
    };

    private string Plain(ConfigValue place, string text) => text.AsSpan().IndexOfAny(',', '[', ']') < 0
        ? text
        : throw Fault(place, $"'{text}' has a comma or a bracket, which no value here can have.");

    private string Scalar(ConfigValue value) => value.Kind is JsonTokenType.String or JsonTokenType.Number
        ? value.Text
        : throw Fault(value, $"{value.KindName} cannot stand here; write a number.");

    private bool Boolean(ConfigValue value) => value.Kind switch
    {
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        _ => throw Fault(value, $"{value.KindName} cannot stand here; write true or false."),
    };

    private void Each(ConfigValue value, Action<ConfigValue> take)
    {
        Expect(value, JsonTokenType.StartArray);
        value.Items.ForEach(take);
    }

    private void Expect(ConfigValue value, JsonTokenType kind)
    {
        if (value.Kind != kind)
        {
            throw Fault(value, $"{value.KindName} cannot stand here; write {new ConfigValue(kind, "", "", 0).KindName}.");
        }
    }

    private static ConfigValue? Find(ConfigValue value, string name) => value.Members.Find(m => m.Key == name).Value;

    private void Known(ConfigValue place, string name, string what, string[] known)
    {
        if (!known.Contains(name))
        {
            string? near = Suggestion.Nearest(name, known);
            throw Fault(place, $"{what} has no member \"{name}\"; {(near is null ? $"it takes {string.Join(", ", known)}" : $"did you mean \"{near}\"?")}");
        }
    }

    private ApertureException Fault(ConfigValue place, string sentence) => ConfigJson.Fault(file, place.Line, place.Path, sentence);
}
