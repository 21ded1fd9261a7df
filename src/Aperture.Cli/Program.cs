using Aperture.Cli.CommandLine;
using Aperture.Cli.Output;
using Aperture.Cli.Verbs;

namespace Aperture.Cli;

/// <summary>The command line's entry: picks the verb, prints failures as one sentence, returns the exit code.</summary>
internal static class Program
{
    private const int NarrowHelp = 80;
    private const int WideHelp = 120;

    private static readonly Verb[] Verbs =
    [
        RunVerb.Verb, PlanVerb.Verb, DoctorVerb.Verb, HostVerb.Verb, ControlVerbs.Verify, MapVerb.Verb, ControlVerbs.Attach, ControlVerbs.Detach,
            MediateVerb.Verb,
        DemoVerb.Verb, LabRunVerb.Verb, CompletionVerb.Of(() => Verbs!),
    ];

    /// <summary>Where the program prints.</summary>
    public static StandardStreams Streams { get; private set; } = null!;

    private static int Main(string[] arguments)
    {
        StandardStreams streams = Streams = StandardStreams.Take();
        try
        {
            return streams.Conclude(Run(arguments, streams));
        }
        catch (ApertureException failure)
        {
            // One line a sentence: placement may have several to say.
            foreach (string sentence in failure.Message.Split(Environment.NewLine))
            {
                Console.Error.WriteLine($"aperture: {sentence}");
            }

            return failure.ExitCode;
        }
    }

    private static int Run(string[] arguments, StandardStreams streams)
    {
        string first = arguments.Length > 0 ? arguments[0] : "--help";
        switch (first)
        {
            case "--help" or "-h" or "help":
                return streams.ShowPage(HelpPage.ForAll(Verbs, HelpWidth()));
            case "--version" or "-V":
                return streams.ShowPage($"aperture {typeof(Program).Assembly.GetName().Version?.ToString(3)}\n");
        }

        // A verb's name has one word or two.
        string both = arguments.Length > 1 ? $"{first} {arguments[1]}" : first;
        Verb verb = Array.Find(Verbs, v => v.Name == first || v.Name == both) ?? throw UnknownVerb(first);
        ReadOnlySpan<string> rest = arguments.AsSpan(verb.Name == first ? 1 : 2);
        int command = verb.Command is null ? -1 : rest.IndexOf("--");
        ReadOnlySpan<string> own = command < 0 ? rest : rest[..command];
        if (own.Contains("--help") || own.Contains("-h"))
        {
            return streams.ShowPage(HelpPage.For(verb, HelpWidth()));
        }

        return verb.Run(ArgumentParser.Parse(verb, rest));
    }

    // The terminal's, where there is one; lines that are too long to follow help nobody.
    private static int HelpWidth() => Console.IsOutputRedirected ? NarrowHelp : Math.Clamp(Console.WindowWidth, NarrowHelp, WideHelp);

    private static ApertureException UnknownVerb(string word)
    {
        string? near = Suggestion.Nearest(word, Verbs.Select(v => v.Name));
        return new ApertureException($"'{word}' is not a verb of aperture; {(near is null ? "see aperture --help" : $"did you mean {near}?")}");
    }
}
