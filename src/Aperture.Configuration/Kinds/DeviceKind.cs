using Aperture.Configuration.Options;

namespace Aperture.Configuration.Kinds;

/// <summary>A kind of <c>--device</c>: its word, its table of options, and how they become a specification.</summary>
/// <param name="word">The leading word.</param>
/// <param name="example">How its options begin, for messages.</param>
/// <param name="help">One line.</param>
/// <param name="table">What it takes.</param>
public abstract class DeviceKind(string word, string example, string help, OptionTable table)
{
    /// <summary>The leading word.</summary>
    public string Word { get; } = word;

    /// <summary>How its options begin, for messages.</summary>
    public string Example { get; } = example;

    /// <summary>One line.</summary>
    public string Help { get; } = help;

    /// <summary>What it takes.</summary>
    public OptionTable Table { get; } = table;

    /// <summary>The device that <paramref name="list"/> describes, whose leading word is this kind's.</summary>
    /// <exception cref="ApertureException">An option is unknown, malformed, missing, or contradicts another; one sentence.</exception>
    public abstract DeviceSpec Read(OptionList list);
}

/// <summary>As the base, with its specification.</summary>
/// <param name="word">As there.</param>
/// <param name="example">As there.</param>
/// <param name="help">As there.</param>
/// <param name="table">As there.</param>
/// <param name="prefix">How messages about such a device begin, when it is not <c>--device WORD: </c>.</param>
/// <typeparam name="TSpec">The specification.</typeparam>
public sealed class DeviceKind<TSpec>(string word, string example, string help, OptionTable<TSpec> table, Func<OptionList, string>? prefix = null)
    : DeviceKind(word, example, help, table)
    where TSpec : DeviceSpec, new()
{
    /// <inheritdoc/>
    public override DeviceSpec Read(OptionList list)
    {
        ArgumentNullException.ThrowIfNull(list);
        return table.Read(list, new TSpec(), prefix?.Invoke(list) ?? $"--device {Word}: ");
    }
}
