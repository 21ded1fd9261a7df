using Aperture.Configuration;
using Aperture.Configuration.Options;

namespace Aperture.Cli.CommandLine;

/// <summary>One option of a verb.</summary>
/// <param name="Name">With its dashes: <c>--kernel</c>.</param>
/// <param name="Value">What stands for its value in help, such as <c>FILE</c>; null for a flag.</param>
/// <param name="Help">One line.</param>
/// <param name="Repeatable">May be given more than once.</param>
internal sealed record OptionSpec(string Name, string? Value, string Help, bool Repeatable = false)
{
    /// <summary>Another spelling that is taken for <see cref="Name"/>; null where there is none.</summary>
    public string? Alias { get; init; }

    /// <summary>The heading that help shows it under; null for the verb's own.</summary>
    public string? Group { get; init; }

    /// <summary>The option of a virtual machine that it is, with what its value is made of; null for another.</summary>
    public MachineOption? Machine { get; init; }

    /// <summary>What its value looks like, for completion; a form such as <c>table|json</c> and <c>FILE</c> speak for themselves.</summary>
    public OptionShape Shape => Machine?.Shape ?? (Value switch
    {
        "FILE" or "PATH" or "DIRECTORY" => OptionShape.File,
        { } form when form.Contains('|', StringComparison.Ordinal) => OptionShape.OneOf(form.Split('|')),
        _ => OptionShape.Text,
    });
}
