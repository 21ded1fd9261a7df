using Aperture.Cli.CommandLine;
using Aperture.Host;
using Aperture.Host.Analysis;
using Aperture.Host.Capture;
using Aperture.Host.Model;
using Aperture.Host.Reports;
using Aperture.Linux;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture host</c>: what a machine has on PCI, this one or another.</summary>
internal static class HostVerb
{
    /// <summary>The option that names the description of a machine, here and where a guest is planned.</summary>
    internal const string Description = "--host";

    /// <summary>Its other spelling.</summary>
    internal const string DescriptionAlias = "--from";

    private static readonly string[] Formats = ["table", "tree", "json"];
    private static readonly string[] Exclusive = ["--function", "--distance", "--save"];

    public static Verb Verb { get; } = new(
        "host",
        "show a machine's PCI functions, BARs, bridges, IOMMU groups, and how far two functions are apart",
        [
            new(Description, "PATH", "a captured tree, an archive of one, or what lspci -Dvvnnxxxx prints (default: this machine)") { Alias =
                DescriptionAlias },
            new("--format", "table|tree|json", "how to print it (default table)"),
            new("--function", "DDDD:BB:DD.F", "only this function"),
            new("--distance", "A,B", "the way of a peer-to-peer request from A to B, and the access control on it"),
            new("--save", "FILE", "capture this machine as a tar archive (.gz: compressed), for host --host and plan --host"),
        ],
        "aperture host --host machine.tar.bz2 --distance 1b:00.0,1c:00.0",
        Run);

    private static int Run(ParsedArguments arguments)
    {
        string format = arguments.Find("--format") ?? Formats[0];
        if (!Formats.Contains(format))
        {
            throw new ApertureException($"--format {format} is not a way to print a machine; write table, tree or json.");
        }

        string[] single = [.. Exclusive.Where(arguments.Has)];
        if (single.Length > 1)
        {
            throw new ApertureException($"{single[0]} and {single[1]} exclude each other; give one.");
        }

        if (arguments.Find("--save") is { } file)
        {
            return Save(file, arguments);
        }

        HostMachine host = arguments.Find(Description) is { } path ? HostReader.Read(path) : HostReader.ReadLive();
        Print(arguments, host, format);
        foreach (HostFinding finding in host.Findings.Where(finding => finding.Severity != HostFindingSeverity.Note))
        {
            string severity = finding.Severity == HostFindingSeverity.Error ? "error" : "warning";
            Console.Error.WriteLine($"aperture: {severity}: {finding.Text}");
        }

        return 0;
    }

    private static void Print(ParsedArguments arguments, HostMachine host, string format)
    {
        if (arguments.Find("--function") is { } function)
        {
            HostReport.WriteFunction(Console.Out, host, Address("--function", function));
        }
        else if (arguments.Find("--distance") is { } pair)
        {
            Distance(host, pair);
        }
        else if (format == "json")
        {
            Stream output = Program.Streams.Output;
            HostJson.Write(output, host);
            output.Write("\n"u8);
        }
        else
        {
            HostReportFormat layout = format == "tree" ? HostReportFormat.Tree : HostReportFormat.Table;
            HostReport.Write(Console.Out, host, new HostReportOptions(layout, Findings: false));
        }
    }

    private static void Distance(HostMachine host, string pair)
    {
        string[] ends = pair.Split(',');
        if (ends.Length != 2)
        {
            throw new ApertureException($"--distance {pair} does not name two functions; write A,B, such as 1b:00.0,1c:00.0.");
        }

        P2pDistance distance = HostTopology.Distance(host, Address("--distance", ends[0]), Address("--distance", ends[1]));
        Console.Out.Write($"{distance.Text}\n");
        Console.Out.Write($"path: {string.Join(" - ", distance.Path)}\n");
        foreach (P2pPort port in distance.DecidingPorts)
        {
            Console.Out.Write($"ACS of {port.Port}: {port.Acs?.Describe() ?? (port.Known ? "none" : "not known")}\n");
        }

        foreach (HostFunction end in new[] { distance.From, distance.To }.Select(address => host.Find(address)!))
        {
            // With address translation on, a device may ask for the peer's address itself, and its requests pass ACS as translated.
            string ats = end.Ats is { } known ? known.Enabled ? "on" : "off" : end.KnowsExtendedConfig ? "none" : "not known";
            Console.Out.Write($"ATS of {end.Address}: {ats}\n");
        }
    }

    private static int Save(string file, ParsedArguments arguments)
    {
        if (arguments.Has(Description) || file.Length == 0)
        {
            throw new ApertureException(file.Length == 0 ? "--save needs a file name." : $"--save captures this machine, so {Description} cannot go with it.");
        }

        HostCaptureSummary saved = OutputFiles.IsPipe(file) ? SaveToPipe(file) : HostCapture.Save("/", file);
        Console.Out.Write($"{file}: {saved.Functions} functions, {saved.FullConfigs} of them with all of their configuration space, {saved.IommuGroups} IOMMU "
            + "groups\n");
        return 0;
    }

    private static HostCaptureSummary SaveToPipe(string path)
    {
        try
        {
            using FileStream pipe = new OutputFiles(sentence => Console.Error.WriteLine($"aperture: {sentence}")).Create(path, FileShare.ReadWrite);
            return HostCapture.Write("/", pipe);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new ApertureException($"{path}: cannot be written: {error.Message}", ApertureException.ConfigurationError, error);
        }
    }

    private static PciAddress Address(string option, string text) => PciAddress.TryParse(text, out PciAddress address)
        ? address
        : throw new ApertureException($"{option}: '{text}' is not a function; write an address such as 0000:3b:00.0.");
}
