namespace Aperture.Machine.Configuration;

/// <summary>Where UEFI firmware keeps its variables.</summary>
/// <param name="Path">The machine's own file.</param>
/// <param name="Template">What the file starts as when it is not there, or null to refuse a missing one.</param>
/// <param name="Snapshot">Changes last as long as the run, and the file is only read.</param>
public sealed record FirmwareVariables(string Path, string? Template, bool Snapshot)
{
    private const string Key = ",vars=";

    /// <summary>The file that is there before the machine first runs.</summary>
    public string Source => Template is not null && !File.Exists(Path) ? Template : Path;

    /// <summary>Splits <c>FILE[,vars=FILE[,template=FILE][,snapshot=on]]</c>; a comma elsewhere belongs to the file's name.</summary>
    /// <exception cref="ApertureException">It is malformed.</exception>
    internal static (string Image, FirmwareVariables? Variables) Read(string value)
    {
        int at = value.IndexOf(Key, StringComparison.Ordinal);
        if (at < 0)
        {
            return (value, null);
        }

        OptionList list = OptionList.Parse("--firmware", value[(at + 1)..]);
        list.AllowOnly("vars", "template", "snapshot");
        bool snapshot = list.Find("snapshot") switch
        {
            null or "off" => false,
            "on" => true,
            _ => throw new ApertureException("--firmware snapshot=: write on or off."),
        };
        string? template = list.Find("template");
        return !snapshot || template is null
            ? (value[..at], new FirmwareVariables(list.Require("vars"), template, snapshot))
            : throw new ApertureException("--firmware snapshot=on only reads the variables, so there is no copy to make from template=; leave one of them out.");
    }
}
