using Aperture.Configuration;

namespace Aperture.Cli.CommandLine;

/// <summary>A verb of the command line.</summary>
/// <param name="Name">The word.</param>
/// <param name="Summary">One line for the list of verbs.</param>
/// <param name="Options">Its options, in the order help shows them.</param>
/// <param name="Example">A command that a reader can try.</param>
/// <param name="Run">Carries it out; the result is the process's exit code.</param>
internal sealed record Verb(string Name, string Summary, IReadOnlyList<OptionSpec> Options, string Example, Func<ParsedArguments, int> Run)
{
    /// <summary>What follows <c>--</c>, as help shows it; null for a verb that takes no command.</summary>
    public string? Command { get; init; }

    /// <summary>What a word without dashes stands for, and the name it is found by; null where there is none.</summary>
    public string? Operand { get; init; }

    /// <summary>True when the operand may be given more than once.</summary>
    public bool OperandRepeats { get; init; }
}

/// <summary>The options a user gave, in their order. Flags have an empty value.</summary>
/// <param name="Values">Name with dashes, value.</param>
internal sealed record ParsedArguments(IReadOnlyList<KeyValuePair<string, string>> Values)
{
    /// <summary>The words after <c>--</c>, for a verb that takes a command.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>The last value given for <paramref name="name"/>, or null.</summary>
    public string? Find(string name) => Values.LastOrDefault(v => v.Key == name).Value;

    /// <summary>True when the flag <paramref name="name"/> was given.</summary>
    public bool Has(string name) => Values.Any(v => v.Key == name);

    /// <summary>What describes the virtual machine: everything but <paramref name="own"/>, with the content of configuration files in their place.</summary>
    /// <exception cref="ApertureException">A configuration file is bad.</exception>
    public IReadOnlyList<Setting> Settings(params string[] own) =>
        ConfigFile.Expand([.. Values.Where(v => !own.Contains(v.Key)).Select(v => new Setting(v.Key, v.Value))]);
}
