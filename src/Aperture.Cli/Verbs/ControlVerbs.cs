using System.Globalization;
using System.Text.Json;
using Aperture.Cli.CommandLine;
using Aperture.Configuration;
using Aperture.Configuration.Kinds;
using Aperture.Linux;
using Aperture.Machine.Control;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture verify</c>, <c>attach</c> and <c>detach</c>: what users ask of a machine that runs.</summary>
internal static class ControlVerbs
{
    private const string DefaultWait = "30";

    private static readonly OptionSpec Control = new("--control", "PATH", "the socket that the machine was given with run --control");

    public static Verb Verify { get; } = new(
        "verify",
        "compare a running machine with its plan: BARs, windows, memory slots, IOMMU mappings; exits 1 when something differs",
        [Control, new("--format", "table|json", "how to print the differences (default table)")],
        "aperture verify --control vm.sock",
        RunVerify);

    public static Verb Attach { get; } = new(
        "attach",
        "plug a device into a port of a running machine",
        [
            Control,
            new("--device", "SPEC,port=PORT", "the device as run --device has it, in an empty slot; several come together, as functions of one slot",
                Repeatable: true),
        ],
        "aperture attach --control vm.sock --device test,id=nic1,port=rp1,bar0=mem32:64K:trap",
        RunAttach);

    public static Verb Detach { get; } = new(
        "detach",
        "take a device out of a running machine, once the guest let go of it",
        [
            Control,
            new("--wait", "SECONDS", "how long to wait for the guest, 0 to 3600 (default 30); exits 1 when it has not let go by then"),
            new("--surprise", null, "take it out at once, as pulling it does"),
        ],
        "aperture detach --control vm.sock nic1",
        RunDetach)
    {
        Operand = "ID",
    };

    private static int RunVerify(ParsedArguments arguments)
    {
        string format = arguments.Find("--format") ?? "table";
        if (format is not ("table" or "json"))
        {
            throw new ApertureException($"--format {format} is not a way to print differences; write table or json.");
        }

        using JsonDocument answer = Ask(arguments, "verify");
        int count = answer.RootElement.GetProperty("count").GetInt32();
        if (format == "json")
        {
            Console.Out.WriteLine(answer.RootElement.GetRawText());
        }
        else if (count == 0)
        {
            // An older machine than this program does not say.
            bool waits = answer.RootElement.TryGetProperty("pins_held", out JsonElement held) && !held.GetBoolean();
            Console.Out.WriteLine(waits
                ? "RAM is as planned. Firmware still has the machine: the rest of the plan holds once the operating system takes over (docs/firmware.md)."
                : "Everything is as planned.");
        }
        else
        {
            foreach (JsonElement difference in answer.RootElement.GetProperty("differences").EnumerateArray())
            {
                Console.Out.WriteLine(Sentence(difference));
            }
        }

        return count == 0 ? 0 : 1;
    }

    private static int RunAttach(ParsedArguments arguments)
    {
        string[] devices = [.. arguments.Values.Where(v => v.Key == "--device").Select(v => v.Value)];
        ControlRequest request = devices.Length switch
        {
            0 => throw new ApertureException("attach needs --device, for example --device test,id=nic1,port=rp1,bar0=mem32:64K:trap."),
            1 => new ControlRequest("device-add", new Dictionary<string, string> { ["device"] = devices[0] }),
            _ => new ControlRequest("device-add", new Dictionary<string, string>())
            {
                Lists = new Dictionary<string, IReadOnlyList<string>> { ["devices"] = devices },
            },
        };
        using JsonDocument answer = Ask(arguments, request with { Descriptors = Descriptors(devices) });
        bool together = answer.RootElement.TryGetProperty("functions", out JsonElement several);
        foreach (JsonElement function in together ? [.. several.EnumerateArray()] : (JsonElement[])[answer.RootElement])
        {
            Console.Out.WriteLine($"{Text(function, "function")} is at {Text(function, "bdf")}.");
        }

        if (answer.RootElement.TryGetProperty("note", out JsonElement note))
        {
            Console.Error.WriteLine($"aperture: note: {note.GetString()}.");
        }

        return 0;
    }

    // What fd= names of this process goes with the request; other numbers are the machine's own.
    private static Dictionary<int, SafeFileDescriptor> Descriptors(IEnumerable<string> devices)
    {
        Dictionary<int, SafeFileDescriptor> found = [];
        foreach (VfioSpec device in devices.Select(ConfigReader.ReadDevice).OfType<VfioSpec>())
        {
            if (device.Device.Descriptor is { } number
                && new FileInfo($"/proc/self/fd/{number}").LinkTarget?.StartsWith("/dev/vfio/devices/", StringComparison.Ordinal) == true)
            {
                found.TryAdd(number, new SafeFileDescriptor(number, ownsDescriptor: false));
            }
        }

        return found;
    }

    private static int RunDetach(ParsedArguments arguments)
    {
        string id = arguments.Find("ID") ?? throw new ApertureException("detach needs the device's id, for example aperture detach --control vm.sock nic1.");
        string wait = arguments.Find("--wait") ?? DefaultWait;
        if (!uint.TryParse(wait, NumberStyles.None, CultureInfo.InvariantCulture, out uint seconds) || seconds > 3600)
        {
            throw new ApertureException($"--wait {wait} is not a number of seconds from 0 to 3600.");
        }

        using JsonDocument answer = Ask(
            arguments, "device-remove", KeyValuePair.Create("id", id), KeyValuePair.Create("wait", wait),
            KeyValuePair.Create("surprise", arguments.Has("--surprise") ? "true" : "false"));
        bool removed = answer.RootElement.GetProperty("removed").GetBoolean();
        string[] gone = [.. answer.RootElement.GetProperty("functions").EnumerateArray().Select(name => name.GetString()!)];
        Console.Out.WriteLine(gone.Length > 1 ? $"{string.Join(" and ", gone)} are out."
            : removed ? $"{id} is out."
            : $"{id} is still in: the guest was asked and has not let go of it within {seconds} s.");
        return removed ? 0 : 1;
    }

    private static JsonDocument Ask(ParsedArguments arguments, string command, params ReadOnlySpan<KeyValuePair<string, string>> members)
    {
        Dictionary<string, string> all = [];
        foreach ((string name, string value) in members)
        {
            all.Add(name, value);
        }

        return Ask(arguments, new ControlRequest(command, all));
    }

    private static JsonDocument Ask(ParsedArguments arguments, ControlRequest request)
    {
        string path = arguments.Find("--control") ?? throw new ApertureException("Which machine? Give --control PATH, the socket that it was started with.");
        using ControlClient client = ControlClient.Connect(path);
        return client.Ask(request);
    }

    private static string Sentence(JsonElement difference)
    {
        string by = difference.TryGetProperty("moved_by", out JsonElement who) ? $" ({who.GetString()})" : "";
        return $"{Text(difference, "subject")}: promised {Text(difference, "promised")}, found {Text(difference, "found")}{by}.";
    }

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;
}
