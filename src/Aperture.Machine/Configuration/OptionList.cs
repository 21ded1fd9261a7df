namespace Aperture.Machine.Configuration;

/// <summary>
/// One option's value as users write it: an optional leading word and <c>key=value</c> items between commas, as in
/// <c>test,id=gpu0,bar0=mem32:1M:trap,fixed-bars=bar0@0xe0000000,bar2@0x6b8000000000</c>. Commas inside square brackets do not split.
/// </summary>
public sealed class OptionList
{
    private static readonly string[] PinKeys = ["bars", "fixed-bars"];
    private readonly List<KeyValuePair<string, string>> items = [];

    private OptionList(string option, string head)
    {
        Option = option;
        Head = head;
    }

    /// <summary>The option that this is the value of (<c>--device</c>), for messages.</summary>
    public string Option { get; }

    /// <summary>The leading word without a key, or empty.</summary>
    public string Head { get; }

    /// <summary>The items in the order they were written.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Items => items;

    /// <summary>Splits <paramref name="text"/>. A list of pins may go on over commas: <c>bar2@ADDRESS</c> belongs to the <c>bars=</c> before it.</summary>
    /// <exception cref="ApertureException">An item has neither a key nor a place in a list.</exception>
    public static OptionList Parse(string option, string text)
    {
        List<string> parts = Split(text);
        bool hasHead = parts.Count > 0 && !parts[0].Contains('=', StringComparison.Ordinal);
        OptionList list = new(option, hasHead ? parts[0] : "");
        foreach (string part in parts.Skip(hasHead ? 1 : 0))
        {
            list.Add(part, text);
        }

        return list;
    }

    /// <summary>The value of <paramref name="key"/>, or null when it is not given.</summary>
    /// <exception cref="ApertureException">The key is given twice.</exception>
    public string? Find(string key)
    {
        string? found = null;
        foreach ((string name, string value) in items)
        {
            if (name == key)
            {
                found = found is null ? value : throw new ApertureException($"{Option}: {key}= is given twice; give it once.");
            }
        }

        return found;
    }

    /// <summary>The value of <paramref name="key"/>.</summary>
    /// <exception cref="ApertureException">It is missing, empty or given twice.</exception>
    public string Require(string key) => Find(key) is { Length: > 0 } value
        ? value
        : throw new ApertureException($"{Option} needs {key}=, for example {Option} {(Head.Length > 0 ? Head + "," : "")}{key}=NAME.");

    /// <summary>Refuses keys other than <paramref name="known"/>, naming the nearest one.</summary>
    /// <exception cref="ApertureException">An unknown key.</exception>
    public void AllowOnly(params ReadOnlySpan<string> known)
    {
        foreach ((string name, _) in items)
        {
            if (!known.Contains(name))
            {
                throw new ApertureException($"{Option} has no {name}=; it takes {string.Join(", ", known.ToArray().Select(k => k + "="))}.");
            }
        }
    }

    private static List<string> Split(string text)
    {
        List<string> parts = [];
        int start = 0;
        int depth = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            char c = i < text.Length ? text[i] : ',';
            depth += c == '[' ? 1 : c == ']' ? -1 : 0;
            if (c == ',' && (depth <= 0 || i == text.Length))
            {
                if (i > start)
                {
                    parts.Add(text[start..i]);
                }

                start = i + 1;
            }
        }

        return parts;
    }

    private void Add(string part, string whole)
    {
        int equals = part.IndexOf('=', StringComparison.Ordinal);
        if (items.Count > 0 && PinKeys.Contains(items[^1].Key) && IsPin(part))
        {
            items[^1] = new(items[^1].Key, items[^1].Value + "," + part);
        }
        else if (equals > 0)
        {
            items.Add(new(part[..equals], part[(equals + 1)..].Trim('[', ']')));
        }
        else
        {
            throw new ApertureException($"{Option}: '{part}' in '{whole}' is not KEY=VALUE.");
        }
    }

    // A pin goes on the list before it: "bar2@0x..." always, "bar2=0x..." when a number or "host" follows, since a BAR's kind never is one.
    private static bool IsPin(string part)
    {
        int equals = part.IndexOf('=', StringComparison.Ordinal);
        return equals < 0
            ? part.Contains('@', StringComparison.Ordinal)
            : part[(equals + 1)..] == "host" || ByteSize.TryParseNumber(part.AsSpan(equals + 1), out _);
    }
}
