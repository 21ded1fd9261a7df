using System.Globalization;
using System.Text;
using System.Text.Json;
using Aperture.Cli.CommandLine;
using Aperture.Machine.Control;
using Aperture.Report;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture map</c>: what is where in a machine that runs, and how often it was accessed.</summary>
internal static class MapVerb
{
    public static Verb Verb { get; } = new(
        "map",
        "show what answers where in a running machine, and how often the guest left to it",
        [
            new("--control", "PATH", "the socket that the machine was given with run --control"),
            new("--format", "table|json", "how to print the map (default table)"),
        ],
        "aperture map --control vm.sock",
        Run);

    private static int Run(ParsedArguments arguments)
    {
        string format = arguments.Find("--format") ?? "table";
        if (format is not ("table" or "json"))
        {
            throw new ApertureException($"--format {format} is not a way to print a map; write table or json.");
        }

        string path = arguments.Find("--control") ?? throw new ApertureException("Which machine? Give --control PATH, the socket that it was started with.");
        using ControlClient client = ControlClient.Connect(path);
        using JsonDocument answer = client.Ask(new ControlRequest("map", new Dictionary<string, string>()));
        Console.Out.Write(format == "json" ? answer.RootElement.GetRawText() + "\n" : Table(answer.RootElement));
        return 0;
    }

    /// <summary>The answer as a table for each space. A region's counts stand in the first of its rows.</summary>
    internal static string Table(JsonElement answer)
    {
        StringBuilder text = new();
        foreach (string space in (ReadOnlySpan<string>)["memory", "ports"])
        {
            TextTable table = new(space == "memory" ? "MEMORY" : "PORTS", ">SIZE", "REGION", "KIND", "BACKING", ">READS", ">WRITES");
            HashSet<string> counted = new(StringComparer.Ordinal);
            foreach (JsonElement region in answer.GetProperty("regions").EnumerateArray().Where(r => Text(r, "space") == space))
            {
                string name = Text(region, "region");
                bool isFirst = counted.Add(name);
                string reads = isFirst ? Count(region, "reads") : "";
                string writes = isFirst ? Count(region, "writes") : "";
                if (region.TryGetProperty("address", out JsonElement address))
                {
                    (string range, string size) = Range(address.GetString()!, Text(region, "size"));
                    table.Add(range, size, name, Text(region, "kind"), Text(region, "backing"), reads, writes);
                }
                else
                {
                    table.Add("not in the map now", "", name, "", "", reads, writes);
                }
            }

            JsonElement unclaimed = answer.GetProperty("unclaimed").GetProperty(space);
            table.Add("elsewhere", "", "(nothing)", "", "", Count(unclaimed, "reads"), Count(unclaimed, "writes"));
            table.Write(text);
            text.Append(space == "memory" ? "\n" : "");
        }

        if (answer.TryGetProperty("servers", out JsonElement servers))
        {
            foreach (JsonElement server in servers.EnumerateArray())
            {
                WriteServer(server, text);
            }
        }

        if (answer.TryGetProperty("granted", out JsonElement granted) && granted.GetArrayLength() > 0)
        {
            text.Append('\n');
            Granted(granted).Write(text);
        }

        return text.ToString();
    }

    private static void WriteServer(JsonElement server, StringBuilder text)
    {
        TextTable table = new($"SERVER OF {Text(server, "device")}", ">SIZE", "REGION", "REACHED");
        foreach (JsonElement run in server.GetProperty("reaches").EnumerateArray())
        {
            (string range, string size) = Range(Text(run, "address"), Text(run, "size"));
            table.Add(range, size, Text(run, "region"), run.GetProperty("mapped").GetBoolean() ? "yes" : $"no: {Text(run, "reason")}");
        }

        text.Append('\n');
        table.Write(text);
    }

    // A row for each memory whose pages come at a touch, with what happened to it, and one for each run of pages in place.
    private static TextTable Granted(JsonElement granted)
    {
        TextTable table = new("GRANTED", ">SIZE", "REGION", "FROM", "ACCESS", ">TOUCHES", ">GRANTS", ">REVOKED", ">REFUSED");
        foreach (JsonElement memory in granted.EnumerateArray())
        {
            (string range, string size) = Range(Text(memory, "address"), Text(memory, "size"));
            table.Add(range, size, Text(memory, "region"), "", "",
                Count(memory, "touches"), Count(memory, "grants"), Count(memory, "revocations"), Count(memory, "refusals"));
            foreach (JsonElement pages in memory.GetProperty("pages").EnumerateArray())
            {
                (range, size) = Range(Text(pages, "address"), Text(pages, "size"));
                string from = pages.TryGetProperty("source", out JsonElement source) ? $"{source.GetUInt64()}+{Text(pages, "source_offset")}" : "";
                table.Add($"  {range}", size, "", from, Text(pages, "access"), "", "", "", "");
            }
        }

        return table;
    }

    private static (string Range, string Size) Range(string address, string size)
    {
        AddressRange range = new(new GuestAddress(Number(address)), Number(size));
        return ($"{range.Start}-{range.Last}", ByteSize.Format(range.Size));
    }

    private static ulong Number(string text) => ulong.Parse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    private static string Count(JsonElement element, string name) => element.GetProperty(name).GetUInt64().ToString(CultureInfo.InvariantCulture);

    private static string Text(JsonElement element, string name) => element.GetProperty(name).GetString()!;
}
