namespace Aperture.Configuration.Options;

/// <summary>One <c>key=value</c> that an option takes.</summary>
/// <param name="Key">The key, the name of the member in a configuration file too.</param>
/// <param name="Form">What stands for the value in help, such as <c>PATH</c>.</param>
/// <param name="Shape">What the value looks like.</param>
/// <param name="Help">One line; empty for a key that another entry's line speaks for.</param>
public abstract record OptionEntry(string Key, string Form, OptionShape Shape, string Help)
{
    /// <summary>Must be given.</summary>
    public bool Required { get; init; }

    /// <summary>May be given more than once.</summary>
    public bool Repeatable { get; init; }

    /// <summary>What help and messages call it; null where another entry's name covers it.</summary>
    public string? Shown { get; init; } = Key;
}

/// <summary>One <c>key=value</c> with its reader.</summary>
/// <param name="Key">As there.</param>
/// <param name="Form">As there.</param>
/// <param name="Shape">As there.</param>
/// <param name="Help">As there.</param>
/// <param name="Read">The specification with this value; throws <see cref="ApertureException"/> for one that is malformed.</param>
/// <typeparam name="TSpec">What the options describe.</typeparam>
public sealed record OptionEntry<TSpec>(string Key, string Form, OptionShape Shape, string Help, Func<TSpec, OptionValue, TSpec> Read)
    : OptionEntry(Key, Form, Shape, Help);
