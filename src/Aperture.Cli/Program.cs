using Aperture.Cli.CommandLine;
using Aperture.Cli.Verbs;

namespace Aperture.Cli;

/// <summary>The command line's entry: picks the verb, prints failures as one sentence, returns the exit code.</summary>
internal static class Program
{
    private static readonly Verb[] Verbs = [RunVerb.Verb, PlanVerb.Verb, HostVerb.Verb, ControlVerbs.Verify, ControlVerbs.Attach, ControlVerbs.Detach, DemoVerb.Verb];

    private static int Main(string[] arguments)
    {
        try
        {
            return Run(arguments);
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

    private static int Run(string[] arguments)
    {
        string first = arguments.Length > 0 ? arguments[0] : "--help";
        switch (first)
        {
            case "--help" or "-h" or "help":
                Console.Out.Write(HelpPage.ForAll(Verbs));
                return 0;
            case "--version" or "-V":
                Console.Out.WriteLine($"aperture {typeof(Program).Assembly.GetName().Version?.ToString(3)}");
                return 0;
        }

        Verb verb = Array.Find(Verbs, v => v.Name == first) ?? throw UnknownVerb(first);
        ReadOnlySpan<string> rest = arguments.AsSpan(1);
        if (rest.Contains("--help") || rest.Contains("-h"))
        {
            Console.Out.Write(HelpPage.For(verb));
            return 0;
        }

        return verb.Run(ArgumentParser.Parse(verb, rest));
    }

    private static ApertureException UnknownVerb(string word)
    {
        string? near = Suggestion.Nearest(word, Verbs.Select(v => v.Name));
        return new ApertureException($"'{word}' is not a verb of aperture; {(near is null ? "see aperture --help" : $"did you mean {near}?")}");
    }
}
