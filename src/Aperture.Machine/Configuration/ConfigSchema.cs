using System.Text.Json;

namespace Aperture.Machine.Configuration;

/// <summary>Which members a configuration file has and which option each one is: docs/vm-config.schema.json in code.</summary>
internal sealed class ConfigSchema(string file)
{
    internal static readonly string[] RootMembers =
    [
        "$schema", "kernel", "initramfs", "cmdline", "firmware", "boot", "cpus", "memory", "machine", "serial", "events", "control", "screenshot", "accel", "reboot",
        "phys_bits", "mmio_window", "mmio32_window", "root_ports", "switches", "devices", "vfio", "mirror", "host",
    ];

    internal static readonly string[] RootPortMembers = ["id", "addr", "memory", "prefetchable", "io", "buses"];

    internal static readonly string[] SwitchMembers = ["id", "port", "downstream", "memory", "prefetchable", "io", "buses"];

    internal static readonly string[] TestMembers =
    [
        "type", "id", "addr", "port", "bar0", "bar1", "bar2", "bar3", "bar4", "bar5", "rom", "msi", "msix", "bars", "fixed-bars", "policy",
    ];

    internal static readonly string[] VfioMembers =
    [
        "type", "host", "sysfs", "fd", "id", "addr", "port", "bars", "fixed-bars", "policy", "rom", "resize", "x_nv_gpudirect_clique",
    ];

    private readonly List<ConfigOption> _options = [];

    /// <summary>The options that <paramref name="root"/> states, in its order.</summary>
    /// <exception cref="ApertureException">An unknown member, or a value of the wrong kind.</exception>
    public List<ConfigOption> Options(ConfigValue root)
    {
        Expect(root, JsonTokenType.StartObject);
        foreach ((string name, ConfigValue value) in root.Members)
        {
            Known(value, name, "a configuration", RootMembers);
            Member(name, value);
        }

        return _options;
    }

    private void Member(string name, ConfigValue value)
    {
        switch (name)
        {
            case "$schema":
                Expect(value, JsonTokenType.String);
                break;
            case "cpus":
                Add("--cpus", value, value.Kind == JsonTokenType.StartObject ? List(value, "", "cpus", "boot") : Scalar(value));
                break;
            case "memory":
                Add("--memory", value, value.Kind == JsonTokenType.StartObject ? List(value, "", "memory", "size", "hugepages") : Item(value));
                break;
            case "boot":
                Add("--boot", value, List(value, "", "boot", "menu", "wait"));
                break;
            case "mmio_window" or "mmio32_window":
                Add(Dashed(name), value, value.Kind == JsonTokenType.StartObject ? Window(value) : Text(value));
                break;
            case "phys_bits":
                Add(Dashed(name), value, Scalar(value));
                break;
            case "reboot":
                if (!Boolean(value))
                {
                    Add("--no-reboot", value, "");
                }

                break;
            case "root_ports":
                Each(value, item => Add("--root-port", item, List(item, "", "a root port", RootPortMembers)));
                break;
            case "switches":
                Each(value, item => Add("--switch", item, List(item, "", "a switch", SwitchMembers)));
                break;
            case "devices":
                Each(value, item => Add("--device", item, Device(item)));
                break;
            default:
                Add(Dashed(name), value, Text(value));
                break;
        }
    }

    private static string Dashed(string name) => "--" + name.Replace('_', '-');

    private void Add(string option, ConfigValue source, string value) => _options.Add(new ConfigOption(option, value, source));

    private string Device(ConfigValue value)
    {
        Expect(value, JsonTokenType.StartObject);
        ConfigValue? type = Find(value, "type");
        string word = type is null ? throw Fault(value, $"a device needs a \"type\": {DeviceTypes.Names}.") : Item(type);
        return DeviceTypes.Find(word) is { } known
            ? List(value, word, known.What, [.. known.Members])
            : throw Fault(type, $"'{word}' is not a device; there are {DeviceTypes.Names}.");
    }

    // The spelling of OptionList: a leading word, then key=value between commas. Pins go last, because what looks like a pin continues their list.
    private string List(ConfigValue value, string head, string what, params string[] known)
    {
        Expect(value, JsonTokenType.StartObject);
        List<string> parts = head.Length > 0 ? [head] : [];
        List<string> pins = [];
        foreach ((string name, ConfigValue member) in value.Members)
        {
            Known(member, name, what, known);
            if (name is "bars" or "fixed-bars")
            {
                pins.Add($"{name}={Pins(member)}");
            }
            else if (name == "resize" && member.Kind == JsonTokenType.StartObject)
            {
                parts.Add($"resize=[{Pins(member)}]");
            }
            else if (name != "type")
            {
                parts.Add($"{name}={Item(member)}");
            }
        }

        return string.Join(',', parts.Concat(pins));
    }

    private string Pins(ConfigValue value)
    {
        Expect(value, JsonTokenType.StartObject);
        return value.Members.Count > 0
            ? string.Join(',', value.Members.Select(m => $"{Plain(m.Value, m.Key)}@{Item(m.Value)}"))
            : throw Fault(value, "no BAR is pinned here; name one, such as \"bar2\": \"0x6b8000000000\", or leave the member out.");
    }

    private string Window(ConfigValue value)
    {
        foreach ((string name, ConfigValue member) in value.Members)
        {
            Known(member, name, "a window", ["base", "size"]);
        }

        string Part(string name) => Find(value, name) is { } part
            ? Item(part)
            : throw Fault(value, $"a window needs \"{name}\", as in {{\"base\": \"0x6b8000000000\", \"size\": \"512G\"}}.");
        return $"{Part("base")}:{Part("size")}";
    }

    // One item of a list of options: nothing in it may be taken for the list's own punctuation.
    private string Item(ConfigValue value) => value.Kind switch
    {
        JsonTokenType.True => "on",
        JsonTokenType.False => "off",
        JsonTokenType.String => Plain(value, value.Text),
        JsonTokenType.Number => value.Text,
        _ => throw Fault(value, $"{value.KindName} cannot stand here; write a string or a number."),
    };

    private string Plain(ConfigValue place, string text) => text.AsSpan().IndexOfAny(',', '[', ']') < 0
        ? text
        : throw Fault(place, $"'{text}' has a comma or a bracket, which no value here can have.");

    private string Scalar(ConfigValue value) => value.Kind is JsonTokenType.String or JsonTokenType.Number
        ? value.Text
        : throw Fault(value, $"{value.KindName} cannot stand here; write a number.");

    private string Text(ConfigValue value)
    {
        Expect(value, JsonTokenType.String);
        return value.Text;
    }

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
