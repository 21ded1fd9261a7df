using Aperture.Configuration.Options;

namespace Aperture.Configuration;

/// <summary>Where UEFI firmware keeps its variables.</summary>
/// <param name="Path">The machine's own file.</param>
/// <param name="Template">What the file starts as when it is not there, or null to refuse a missing one.</param>
/// <param name="Snapshot">Changes last as long as the run, and the file is only read.</param>
public sealed record FirmwareVariables(string Path, string? Template, bool Snapshot)
{
    private const string Key = ",vars=";

    /// <summary>What follows the image.</summary>
    internal static OptionTable<FirmwareVariables> Table { get; } = new(
        "--firmware",
        "firmware",
        [
            new("vars", "FILE", OptionShape.File, "UEFI's variables, the machine's own file", (s, v) => s with { Path = v.FileName() }) { Required = true },
            new("template", "FILE", OptionShape.File, "what vars= starts as when it is not there", (s, v) => s with { Template = v.FileName() }),
            new("snapshot", "on|off", OptionShape.OnOff, "changes last as long as the run (default off)", (s, v) => s with { Snapshot = v.OnOff() }),
        ],
        Finish);

    /// <summary>The file that is there before the machine first runs.</summary>
    public string Source => Template is not null && !UserFile.Exists(Path) ? Template : Path;

    /// <summary>Splits <c>FILE[,vars=FILE[,template=FILE][,snapshot=on]]</c>; a comma elsewhere belongs to the file's name.</summary>
    /// <exception cref="ApertureException">It is malformed.</exception>
    internal static (string Image, FirmwareVariables? Variables) Read(string value)
    {
        int at = value.IndexOf(Key, StringComparison.Ordinal);
        if (at < 0)
        {
            return (value, null);
        }

        FirmwareVariables variables = Table.Read(OptionList.Parse("--firmware", value[(at + 1)..]), new FirmwareVariables("", null, false), "--firmware ");
        return (value[..at], variables);
    }

    private static FirmwareVariables Finish(FirmwareVariables spec, OptionContext context) => spec is { Snapshot: true, Template: not null }
        ? throw context.Fault("snapshot=on only reads the variables, so there is no copy to make from template=; leave one of them out")
        : spec;
}
