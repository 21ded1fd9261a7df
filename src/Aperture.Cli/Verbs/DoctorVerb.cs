using Aperture.Cli.CommandLine;
using Aperture.Configuration;
using Aperture.Doctor;
using Aperture.Doctor.Output;
using Aperture.Host;
using Aperture.Host.Model;

namespace Aperture.Cli.Verbs;

/// <summary><c>aperture doctor</c>: whether a machine can do what is wanted of its devices, and what has to change.</summary>
internal static class DoctorVerb
{
    private const string Devices = "[DEVICE...]";
    private const int NotReached = 1;
    private const int NarrowText = 120;
    private const int WideText = 160;

    public static Verb Verb { get; } = new(
        "doctor",
        "say whether devices can be passed to a guest, reach each other, or make VFs, and what to change; exits 1 when not",
        [
            new("--for", GoalWords.Form, "what they are wanted for (default: all that applies to them)"),
            new(HostVerb.Description, "PATH", "a captured tree, an archive of one, or what lspci -Dvvnnxxxx prints (default: this machine)")
            {
                Alias = HostVerb.DescriptionAlias,
            },
            new("--format", "text|json", "how to print it (default text)"),
        ],
        "aperture doctor 1b:00.0 1c:00.0 --for p2p",
        Run)
    {
        Operand = Devices,
        OperandRepeats = true,
    };

    private static int Run(ParsedArguments arguments)
    {
        string format = arguments.Find("--format") ?? "text";
        if (format is not ("text" or "json"))
        {
            throw new ApertureException($"--format {format} is not a way to print a diagnosis; write text or json.");
        }

        Goals? goals = arguments.Find("--for") is { } word
            ? GoalWords.Find(word) ?? throw new ApertureException($"--for {word} is not a goal; write "
                + $"{GoalWords.Form.Replace("|", ", ", StringComparison.Ordinal)}.")
            : null;
        List<PciAddress> names = [.. arguments.Values.Where(value => value.Key == Devices).Select(value => Address(value.Value))];
        string? path = arguments.Find(HostVerb.Description);
        HostMachine host = path is not null ? HostReader.Read(path) : HostReader.ReadLive();
        Diagnosis diagnosis = HostDoctor.Examine(host, names, goals, functions => MirrorConflicts(host, path, functions));
        if (format == "json")
        {
            Stream output = Program.Streams.Output;
            DiagnosisJson.Write(output, diagnosis);
            output.Write("\n"u8);
        }
        else
        {
            Console.Out.Write(DiagnosisText.Of(diagnosis, Console.IsOutputRedirected ? NarrowText : Math.Clamp(Console.WindowWidth, NarrowText, WideText)));
        }

        return diagnosis.CanBeReached ? 0 : NotReached;
    }

    // What plan --mirror says of them.
    private static IReadOnlyList<string> MirrorConflicts(HostMachine host, string? path, IReadOnlyList<PciAddress> functions)
    {
        List<Setting> settings = [new("--mirror", string.Join(',', functions))];
        if (path is not null)
        {
            settings.Add(new(HostVerb.Description, path));
        }

        try
        {
            return [.. PlanInput.Of(ConfigReader.Read(settings, boots: false), host).Result.Conflicts.Select(static conflict => conflict.Sentence)];
        }
        catch (ApertureException refusal)
        {
            // A refusal is an answer here: it is the verdict's sentence.
            return [refusal.Message];
        }
    }

    private static PciAddress Address(string text) => PciAddress.TryParse(text, out PciAddress address)
        ? address
        : throw new ApertureException($"'{text}' is not a function; write an address such as 0000:3b:00.0.");
}
