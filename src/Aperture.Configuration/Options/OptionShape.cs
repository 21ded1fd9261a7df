namespace Aperture.Configuration.Options;

/// <summary>What the value of an option looks like: how a configuration file states it, how the schema describes it, what completion offers.</summary>
/// <param name="Definition">Its name among the schema's definitions; null for a choice, which is written out.</param>
/// <param name="Words">The values there are, for a choice; what completion offers otherwise.</param>
public sealed record OptionShape(string? Definition, IReadOnlyList<string> Words)
{
    /// <summary>Any text; commas and brackets are part of it.</summary>
    public static OptionShape Text { get; } = new("text", []);

    /// <summary>A file's name; commas and brackets are part of it.</summary>
    public static OptionShape File { get; } = new("file", []);

    /// <summary>The id of a device, a port or a switch.</summary>
    public static OptionShape Name { get; } = new("name", []);

    /// <summary>Text without the punctuation of option lists.</summary>
    public static OptionShape Plain { get; } = new("plain", []);

    /// <summary>Device and function on a bus.</summary>
    public static OptionShape Place { get; } = new("place", []);

    /// <summary>A function of the host.</summary>
    public static OptionShape HostFunction { get; } = new("hostFunction", []);

    /// <summary>A number of bytes.</summary>
    public static OptionShape Size { get; } = new("size", []);

    /// <summary>A decimal number.</summary>
    public static OptionShape Count { get; } = new("count", []);

    /// <summary>A number, hexadecimal with 0x.</summary>
    public static OptionShape Number { get; } = new("number", []);

    /// <summary>Room of a port: a size, or a window.</summary>
    public static OptionShape Room { get; } = new("room", []);

    /// <summary>on or off.</summary>
    public static OptionShape OnOff { get; } = new("onOff", ["on", "off"]);

    /// <summary>A BAR of a test device.</summary>
    public static OptionShape Bar { get; } = new("bar", ["io:", "mem32:", "mem32p:", "mem64:", "mem64p:"]);

    /// <summary>A VF BAR of a test device.</summary>
    public static OptionShape VfBar { get; } = new("vfBar", ["mem32:", "mem32p:", "mem64:", "mem64p:"]);

    /// <summary>BARs and their addresses.</summary>
    public static OptionShape Pins { get; } = new("pins", []);

    /// <summary>BARs and their addresses, of which the host's is one.</summary>
    public static OptionShape HostPins { get; } = new("hostPins", ["all=host"]);

    /// <summary>BARs and their sizes.</summary>
    public static OptionShape Resizes { get; } = new("resizes", []);

    /// <summary>True for a list of BARs, each with its value.</summary>
    public bool IsMap => Definition is "pins" or "hostPins" or "resizes";

    /// <summary>True when commas and brackets can be part of it.</summary>
    public bool IsFree => Definition is "text" or "file";

    /// <summary>One of <paramref name="words"/>.</summary>
    public static OptionShape OneOf(params string[] words) => new(null, words);
}
