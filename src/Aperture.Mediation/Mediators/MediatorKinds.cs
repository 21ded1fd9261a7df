namespace Aperture.Mediation.Mediators;

/// <summary>The mediators that come along, by the words that users write: <c>KIND[,KEY=VALUE]...</c>.</summary>
public static class MediatorKinds
{
    /// <summary>Each kind's form, for help.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["partition,size=SIZE[,page=4K][,window=SIZE]", "test[,ram=1M]"];

    /// <summary>Makes the mediator that <paramref name="text"/> asks for.</summary>
    /// <exception cref="ApertureException">There is none such, or an option is unknown, missing, given twice or not a size.</exception>
    public static IMediator Make(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] words = text.Split(',');
        return words[0] switch
        {
            "partition" => Partition(Sizes(words, "size", "page", "window")),
            "test" => Sizes(words, "ram").TryGetValue("ram", out ulong ram) ? new TestMediator(ram) : new TestMediator(),
            _ => throw new ApertureException($"'{words[0]}' is not a mediator; {(Suggestion.Nearest(words[0], ["partition", "test"]) is { } near
                ? $"did you mean {near}?"
                : $"there are {string.Join(" and ", Forms)}")}"),
        };
    }

    private static PartitionMediator Partition(Dictionary<string, ulong> sizes)
    {
        ulong size = sizes.TryGetValue("size", out ulong found)
            ? found
            : throw new ApertureException("the partition mediator needs size=, the bytes that it divides, for example partition,size=64M");
        return new PartitionMediator(
            size, sizes.TryGetValue("page", out ulong page) ? page : GrantBook.Page, sizes.TryGetValue("window", out ulong window) ? window : null);
    }

    private static Dictionary<string, ulong> Sizes(string[] words, params string[] known)
    {
        Dictionary<string, ulong> sizes = [];
        foreach (string word in words[1..])
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? word : word[..equals];
            if (equals < 0 || !known.Contains(key))
            {
                throw new ApertureException($"'{word}' is not an option of the mediator {words[0]}; it has "
                    + string.Join(", ", known.Select(static k => $"{k}=SIZE")));
            }

            if (!ByteSize.TryParse(word.AsSpan(equals + 1), out ulong size))
            {
                throw new ApertureException($"{word} of the mediator {words[0]} is not a size; write it as 4096, 64M or 2G");
            }

            if (!sizes.TryAdd(key, size))
            {
                throw new ApertureException($"{key}= of the mediator {words[0]} is given twice; give it once");
            }
        }

        return sizes;
    }
}
