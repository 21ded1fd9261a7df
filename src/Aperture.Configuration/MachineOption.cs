using Aperture.Configuration.Options;

namespace Aperture.Configuration;

/// <summary>Under which heading help shows an option.</summary>
public enum OptionGroup : byte
{
    /// <summary>What the guest starts.</summary>
    Boot,

    /// <summary>Processors, memory, board.</summary>
    Machine,

    /// <summary>Devices and the ports for them.</summary>
    Devices,

    /// <summary>Where things go in the address map.</summary>
    Map,

    /// <summary>What goes in and out, and how it is run.</summary>
    Run,
}

/// <summary>How a configuration file states an option.</summary>
public enum MemberForm : byte
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>A string.</summary>
    Text,

    /// <summary>A number, or a string.</summary>
    Number,

    /// <summary>A window: a string, or an object with base and size.</summary>
    Window,

    /// <summary>A boolean; false is the option's flag.</summary>
    NotFlag,

    /// <summary>An object with the members of the option's table.</summary>
    Table,

    /// <summary>The same, or a number for its only important member.</summary>
    NumberOrTable,

    /// <summary>The same, or a size for it.</summary>
    SizeOrTable,

    /// <summary>An array of objects.</summary>
    Tables,

    /// <summary>An array of objects, each with a type.</summary>
    Devices,
}

/// <summary>An option of a virtual machine.</summary>
/// <param name="Name">With its dashes.</param>
/// <param name="Form">What stands for its value in help; null for a flag.</param>
/// <param name="Group">Its heading.</param>
/// <param name="Help">One line.</param>
/// <param name="Apply">The configuration with this option; throws <see cref="ApertureException"/> for one that is malformed.</param>
public sealed record MachineOption(string Name, string? Form, OptionGroup Group, string Help, Func<MachineConfig, Setting, MachineConfig> Apply)
{
    /// <summary>May be given more than once.</summary>
    public bool Repeatable { get; init; }

    /// <summary>How a configuration file states it.</summary>
    public MemberForm MemberForm { get; init; } = MemberForm.Text;

    /// <summary>Its name in a configuration file.</summary>
    public string Member { get; init; } = Name.TrimStart('-').Replace('-', '_');

    /// <summary>What its value is made of; null for a single value, and for devices, whose kinds have one each.</summary>
    public OptionTable? Table { get; init; }

    /// <summary>What a single value looks like.</summary>
    public OptionShape Shape { get; init; } = OptionShape.Text;
}
