namespace Aperture.Configuration.Options;

/// <summary>The options that describe one thing: the one table that command line, configuration file, schema, help and completion read.</summary>
/// <param name="option">The option that they are the value of, such as <c>--device</c>.</param>
/// <param name="what">What messages call the thing: <c>a root port</c>.</param>
/// <param name="entries">The options in the order that help shows them.</param>
public abstract class OptionTable(string option, string what, IReadOnlyList<OptionEntry> entries)
{
    /// <summary>The option that they are the value of.</summary>
    public string Option { get; } = option;

    /// <summary>What messages call the thing.</summary>
    public string What { get; } = what;

    /// <summary>The options in the order that help shows them.</summary>
    public IReadOnlyList<OptionEntry> Entries { get; } = entries;
}

/// <summary>As the base, with what the options become.</summary>
/// <param name="option">As there.</param>
/// <param name="what">As there.</param>
/// <param name="entries">As there.</param>
/// <param name="finish">The check that needs all options together, and what follows from them; null for none.</param>
/// <typeparam name="TSpec">What the options describe.</typeparam>
public sealed class OptionTable<TSpec>(string option, string what, IReadOnlyList<OptionEntry<TSpec>> entries, Func<TSpec, OptionContext, TSpec>? finish = null)
    : OptionTable(option, what, entries)
{
    private readonly bool _isDevice = option == "--device";

    /// <summary>Reads <paramref name="list"/>, in any order.</summary>
    /// <param name="list">What the user wrote.</param>
    /// <param name="empty">The thing when nothing is given.</param>
    /// <param name="prefix">How messages begin, the blank included.</param>
    /// <exception cref="ApertureException">An option is unknown, malformed, missing or given twice, or contradicts another; one sentence.</exception>
    public TSpec Read(OptionList list, TSpec empty, string prefix)
    {
        TSpec spec = empty;
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach (OptionItem item in list.Items)
        {
            OptionEntry<TSpec> entry = entries.FirstOrDefault(e => e.Key == item.Key) ?? throw Unknown(item.Key, prefix);
            spec = seen.Add(item.Key) || entry.Repeatable
                ? entry.Read(spec, new OptionValue(prefix, item))
                : throw new ApertureException($"{prefix}{item.Key}= is given twice; give it once.");
        }

        OptionEntry? missing = entries.FirstOrDefault(e => e.Required && list.Items.All(i => i.Key != e.Key || i.Text.Length == 0));
        if (missing is not null)
        {
            throw Missing(missing, prefix);
        }

        return finish is null ? spec : finish(spec, new OptionContext(prefix, list));
    }

    private ApertureException Unknown(string key, string prefix)
    {
        IEnumerable<string> names = Entries.Select(e => e.Shown).OfType<string>();
        string known = string.Join(", ", names.Select(name => name.Contains(' ', StringComparison.Ordinal) ? name : name + "="));
        if (!_isDevice)
        {
            return new ApertureException($"{prefix}has no {key}=; it takes {known}.");
        }

        if (Entries.Count == 0)
        {
            return new ApertureException($"{prefix}there is no option {key}=; it takes none.");
        }

        string? near = Suggestion.Nearest(key, Entries.Select(e => e.Key));
        return new ApertureException($"{prefix}there is no option {key}=; {(near is null ? "" : $"did you mean {near}=? ")}the options are {known}.");
    }

    private ApertureException Missing(OptionEntry entry, string prefix) => new(_isDevice
        ? $"{prefix}{("aeiou".Contains(entry.Key[0], StringComparison.Ordinal) ? "an" : "a")} {entry.Key} is missing; give {entry.Key}={entry.Form}."
        : $"{prefix}needs {entry.Key}=, for example {prefix}{entry.Key}={entry.Form}.");
}

/// <summary>All options of one thing, for the check that needs them together.</summary>
/// <param name="Prefix">How messages begin, the blank included.</param>
/// <param name="List">The options.</param>
public readonly record struct OptionContext(string Prefix, OptionList List)
{
    /// <summary>The value of <paramref name="key"/> as the user wrote it, or null.</summary>
    public string? Find(string key) => List.Items.FirstOrDefault(i => i.Key == key)?.Text;

    /// <summary>A refusal; <paramref name="sentence"/> has no full stop.</summary>
    public ApertureException Fault(string sentence) => new($"{Prefix}{sentence}.");
}
