using Aperture.Cli.CommandLine;
using Aperture.Lab;
using Aperture.Lab.Hardware;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture lab run</c>: any command of this host in the lab's emulated machine.</summary>
internal static class LabRunVerb
{
    /// <summary>The option that gives the emulated machine devices; <c>run</c> has it too.</summary>
    public static OptionSpec Hardware { get; } = new(
        "--lab-hardware", string.Join('|', LabHardware.Named.Select(h => h.Name)), "devices of the lab's machine (docs/lab.md has their places)");

    private static OptionSpec Arch { get; } = new(
        "--arch", string.Join('|', LabPlatform.All.Select(p => p.Name)), "the machine's processor (default x86-64); on arm64 the command is an arm64 program");

    public static Verb Verb { get; } = new(
        "lab run",
        "run a command in the lab, a software-emulated machine with a complete KVM and devices to pass through",
        [
            Arch,
            Hardware,
            new("--vfio", "DDDD:BB:DD.F", "bind this function, and its IOMMU group, to vfio-pci first", Repeatable: true),
            new("--writable", "DIRECTORY", "what the command writes there stays; elsewhere it is lost with the machine", Repeatable: true),
            new("--iommu", "on|off", "whether the machine's Linux uses its IOMMU (default on)"),
            new("--timeout", "SECONDS", "end the command after this time"),
        ],
        "aperture lab run --lab-hardware passthrough -- lspci -nnk",
        Run)
    {
        Command = "COMMAND [ARGUMENT...]",
    };

    private static int Run(ParsedArguments arguments)
    {
        if (arguments.Command.Count == 0)
        {
            throw new ApertureException("lab run needs a command: aperture lab run -- COMMAND.");
        }

        LabRun run = new(Resolve(arguments.Command[0]), [.. arguments.Command.Skip(1)])
        {
            Platform = arguments.Find(Arch.Name) is { } arch ? LabPlatform.Find(arch) : LabPlatform.X86,
            Hardware = arguments.Find(Hardware.Name) is { } name ? LabHardware.Find(name) : null,
            VfioFunctions = All(arguments, "--vfio"),
            WritableDirectories = [.. All(arguments, "--writable").Select(Path.GetFullPath)],
            Iommu = arguments.Find("--iommu") switch
            {
                null or "on" => true,
                "off" => false,
                string other => throw new ApertureException($"--iommu {other} is neither on nor off."),
            },
            Timeout = arguments.Find("--timeout") is { } text ? Seconds(text) : null,
        };
        return new LabRunner(LabArtifacts.Locate(), Console.Error).RunAsync(run, LabStreams.Console()).GetAwaiter().GetResult();
    }

    private static string[] All(ParsedArguments arguments, string name) =>
        [.. arguments.Values.Where(v => v.Key == name).Select(v => v.Value)];

    private static TimeSpan Seconds(string text) => uint.TryParse(text, out uint seconds) && seconds > 0
        ? TimeSpan.FromSeconds(seconds)
        : throw new ApertureException($"--timeout {text} is not a number of seconds.");

    /// <summary>The command's absolute path: the lab has this host's files at the same places.</summary>
    private static string Resolve(string command)
    {
        if (command.Contains('/', StringComparison.Ordinal))
        {
            return Path.GetFullPath(command);
        }

        string path = Environment.GetEnvironmentVariable("PATH") ?? "";
        return path.Split(':').Concat(["/usr/sbin", "/sbin"]).Where(folder => folder.Length > 0)
            .Select(folder => Path.Combine(folder, command)).FirstOrDefault(File.Exists)
            ?? throw new ApertureException($"{command} is not in PATH; name its file.");
    }
}
