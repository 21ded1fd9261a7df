using Aperture.Cli.CommandLine;
using Aperture.Configuration;

namespace Aperture.Cli.Verbs;

/// <summary>The options of the verbs that take a virtual machine.</summary>
internal static class GuestOptions
{
    /// <summary>All of them, in the order help shows them.</summary>
    public static IReadOnlyList<OptionSpec> All { get; } =
    [
        .. MachineOptions.All.Select(o => new OptionSpec(o.Name, o.Form, o.Help, o.Repeatable)
        {
            Alias = o.Name == HostVerb.Description ? HostVerb.DescriptionAlias : null,
            Group = TitleOf(o.Group),
            Machine = o,
        }),
        new(ConfigFile.Option, "FILE", "a configuration file in JSON (docs/vm-config.schema.json); other options override it or add to its lists")
        {
            Group = TitleOf(OptionGroup.Run),
        },
    ];

    private static string TitleOf(OptionGroup group) => group switch
    {
        OptionGroup.Boot => "What the guest starts",
        OptionGroup.Machine => "Processors, memory, board",
        OptionGroup.Devices => "Devices",
        OptionGroup.Map => "The address map",
        _ => "Files, consoles, how to run",
    };
}
