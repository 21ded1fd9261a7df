using System.Text;
using Aperture.Placement.Request;

namespace Aperture.Configuration.Options;

/// <summary>One <c>key=value</c> as it was written.</summary>
/// <param name="Key">The key.</param>
/// <param name="Text">The value; its parts with commas between where it has <paramref name="Parts"/>.</param>
/// <param name="Parts">The items of a list that a configuration file states as an object; null for a single value.</param>
public sealed record OptionItem(string Key, string Text, IReadOnlyList<string>? Parts = null)
{
    /// <summary>A value that is a list.</summary>
    internal static OptionItem Of(string key, IReadOnlyList<string> parts) => new(key, string.Join(',', parts), parts);
}

/// <summary>
/// One option's value, from the command line or a configuration file: an optional leading word and items. The command line spells it with commas between, as in
/// <c>test,id=gpu0,bar0=mem32:1M:trap,fixed-bars=bar0@0xe0000000,bar2@0x6b8000000000</c>; commas inside square brackets do not split,
/// so that <c>file=[a,b.img]</c> names the file <c>a,b.img</c>.
/// </summary>
public sealed class OptionList
{
    private const string RomKey = "rom";
    private static readonly string[] PinKeys = ["bars", "fixed-bars"];
    private readonly List<OptionItem> _items = [];

    internal OptionList(string option, string head)
    {
        Option = option;
        Head = head;
    }

    /// <summary>The option that this is the value of (<c>--device</c>), for messages.</summary>
    public string Option { get; }

    /// <summary>The leading word without a key, or empty.</summary>
    public string Head { get; }

    /// <summary>The items in the order they were written.</summary>
    public IReadOnlyList<OptionItem> Items => _items;

    /// <summary>Splits <paramref name="text"/>. A list of pins may go on over commas: <c>bar2@ADDRESS</c> belongs to the <c>bars=</c> before it.</summary>
    /// <exception cref="ApertureException">An item has neither a key nor a place in a list.</exception>
    public static OptionList Parse(string option, string text)
    {
        List<string> parts = Split(text);
        bool hasHead = parts.Count > 0 && !parts[0].Contains('=', StringComparison.Ordinal);
        OptionList list = new(option, hasHead ? parts[0] : "");
        foreach (string part in parts.Skip(hasHead ? 1 : 0))
        {
            if (!list.TryAdd(part))
            {
                throw new ApertureException($"{option}: '{part}' in '{text}' is not KEY=VALUE.");
            }
        }

        return list;
    }

    /// <summary>One more item.</summary>
    internal void Add(OptionItem item) => _items.Add(item);

    /// <summary>The spelling that <see cref="Parse"/> reads. Pins go last, because what looks like a pin continues their list.</summary>
    /// <exception cref="ApertureException">A value has brackets that do not pair, which no command line can say.</exception>
    public string Spell()
    {
        StringBuilder text = new(Head);
        foreach (OptionItem item in _items.OrderBy(i => PinKeys.Contains(i.Key)))
        {
            text.Append(text.Length > 0 ? "," : "").Append(item.Key).Append('=').Append(PinKeys.Contains(item.Key) ? item.Text : Quoted(item));
        }

        string spelled = text.ToString();
        IEnumerable<string> wanted = _items.OrderBy(i => PinKeys.Contains(i.Key)).Select(i => $"{i.Key}={i.Text}");
        OptionList read = new(Option, Head);
        return Split(spelled).Skip(Head.Length > 0 ? 1 : 0).All(read.TryAdd) && read._items.Select(i => $"{i.Key}={i.Text}").SequenceEqual(wanted)
            ? spelled
            : throw new ApertureException($"{Option} {spelled} cannot be said on a command line, where commas and square brackets are punctuation; "
                + "rename the file.");
    }

    private static string Quoted(OptionItem item)
    {
        bool isBracketed = item.Text.StartsWith('[') && item.Text.EndsWith(']');
        return item.Parts is not null || isBracketed || item.Text.Contains(',', StringComparison.Ordinal) ? $"[{item.Text}]" : item.Text;
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

    private bool TryAdd(string part)
    {
        int equals = part.IndexOf('=', StringComparison.Ordinal);
        if (_items.Count > 0 && PinKeys.Contains(_items[^1].Key) && IsPin(part))
        {
            _items[^1] = _items[^1] with { Text = _items[^1].Text + "," + part };
        }
        else if (equals > 0)
        {
            string value = part[(equals + 1)..];
            _items.Add(new OptionItem(part[..equals], value.StartsWith('[') && value.EndsWith(']') ? value[1..^1] : value));
        }
        else
        {
            return false;
        }

        return true;
    }

    // A pin goes on the list before it: "bar2@0x..." always, "bar2=0x..." when a number or "host" follows, since a BAR's kind never is one. "msix=4" is no pin,
    // nor is "rom=65536", the size of a test device's ROM: one that is pinned is written "rom@0x...".
    private static bool IsPin(string part)
    {
        int equals = part.IndexOf('=', StringComparison.Ordinal);
        return equals < 0
            ? part.Contains('@', StringComparison.Ordinal)
            : (BarIndex.TryParse(part.AsSpan(0, equals), out _) || part[..equals] == "all")
                && (part[(equals + 1)..] == "host" || (part[..equals] != RomKey && ByteSize.TryParseNumber(part.AsSpan(equals + 1), out _)));
    }
}
