using Aperture.Cli.CommandLine;
using Aperture.Configuration;
using Aperture.Emission;
using Aperture.Linux;
using Aperture.Placement.Map;
using Aperture.Report;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture plan</c>: the address map that <c>run</c> would make, without KVM and without opening a kernel.</summary>
internal static class PlanVerb
{
    private static readonly string[] Formats = ["table", "tree", "json", "svg"];
    private static readonly string[] OwnOptions = ["--format", "--emit", "--output", "--explain"];

    public static Verb Verb { get; } = new(
        "plan",
        "print the address map that run would make, or why there is none, without starting anything",
        [
            .. GuestOptions.All,
            new("--format", "table|tree|json|svg", "how to print the map (default table)"),
            new("--emit", "MONITOR", "write another monitor's configuration instead: qemu, xl, libvirt, cloud-hypervisor, openvmm"),
            new("--output", "FILE", "write there instead of to standard output"),
            new("--explain", "FUNCTION/BAR", "say why one BAR is where it is: 01:00.0/bar2, or an id such as t0/bar2"),
        ],
        "aperture plan --memory 8G --root-port id=rp0 --device test,id=t0,port=rp0,bar2=mem64p:64G:ram --explain t0/bar2",
        Run);

    private static int Run(ParsedArguments arguments)
    {
        string format = arguments.Find("--format") ?? Formats[0];
        if (!Formats.Contains(format))
        {
            throw new ApertureException($"--format {format} is not a way to print a map; write table, tree, json or svg.");
        }

        string? monitor = arguments.Find("--emit");
        CheckEmit(arguments, monitor);
        MachineConfig config = ConfigReader.Read(arguments.Settings(OwnOptions), boots: false);
        if (monitor is not null && config.Board == BoardKind.Virt)
        {
            throw new ApertureException(
                $"--emit {monitor} writes a PC, and --machine virt is none: no other monitor can be told where BARs of such a machine go; leave --emit out, or "
                    + "use --machine q35.");
        }

        PlanInput input = PlanInput.Of(config);
        if (input.Result.Map is not { } map)
        {
            return Refuse(arguments, format, input);
        }

        PlanReport report = new(input.Request, map, input.AddressBitsOrigin) { Origins = input.Origins, Notes = input.Notes, Peers = input.Peers };
        if (format == "svg")
        {
            Tell(input.Notes);
        }

        if (monitor is not null)
        {
            Write(arguments, Emitter.Emit(monitor, new EmissionPlan(input.Request, map) { HostAddresses = input.HostAddresses }));
            return 0;
        }

        Write(arguments, arguments.Find("--explain") is { } question ? BarQuestion.Answer(map, question) : Render(format, report));
        return 0;
    }

    private static void CheckEmit(ParsedArguments arguments, string? monitor)
    {
        if (monitor is not null && !Emitter.Names.Contains(monitor))
        {
            throw new ApertureException(
                $"--emit {monitor} is not a monitor that a map can be written for; write {string.Join(", ", Emitter.Names.SkipLast(1))} or "
                    + $"{Emitter.Names[^1]}.");
        }

        if (monitor is not null && (arguments.Find("--format") ?? arguments.Find("--explain")) is not null)
        {
            throw new ApertureException("--emit writes a configuration of its own; leave out --format and --explain.");
        }
    }

    private static string Render(string format, PlanReport report) => format switch
    {
        "tree" => TreeRenderer.Render(report),
        "json" => JsonRenderer.Render(report),
        "svg" => SvgRenderer.Render(report),
        _ => TableRenderer.Render(report),
    };

    private static int Refuse(ParsedArguments arguments, string format, PlanInput input)
    {
        if (format == "json")
        {
            Write(arguments, JsonRenderer.RenderConflicts(input.Request, input.Result.Conflicts, input.AddressBitsOrigin));
        }

        foreach (PlacementConflict conflict in input.Result.Conflicts)
        {
            Console.Error.WriteLine($"aperture: {conflict.Sentence}");
        }

        // A note may be about why something was tried in vain; the sentence itself was told.
        Tell([.. input.Notes.Where(note => !input.Result.Conflicts.Any(conflict => note.Contains(conflict.Sentence, StringComparison.Ordinal)))]);
        return ApertureException.ConfigurationError;
    }

    // A picture has no place for sentences.
    private static void Tell(IReadOnlyList<string> notes)
    {
        foreach (string note in notes)
        {
            Tell($"note: {note}");
        }
    }

    private static void Tell(string sentence) => Console.Error.WriteLine($"aperture: {sentence}");

    private static void Write(ParsedArguments arguments, string text)
    {
        if (arguments.Find("--output") is not { } path)
        {
            Console.Out.Write(text);
            return;
        }

        try
        {
            using StreamWriter file = new(new OutputFiles(Tell).Create(path, FileShare.Read));
            file.Write(text);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new ApertureException($"--output {path} cannot be written: {fault.Message}", ApertureException.ConfigurationError, fault);
        }
    }
}
