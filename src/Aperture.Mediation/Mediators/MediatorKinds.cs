namespace Aperture.Mediation.Mediators;

/// <summary>The mediators that come along, by the words that users write: <c>KIND[,KEY=VALUE]...</c>.</summary>
public static class MediatorKinds
{
    /// <summary>Each kind's form, for help.</summary>
    public static IReadOnlyList<string> Forms { get; } = ["partition,size=SIZE[,page=4K][,window=SIZE][,trust=off|on]", "test[,ram=1M]"];

    /// <summary>Makes the mediator that <paramref name="text"/> asks for.</summary>
    /// <exception cref="ApertureException">There is none such, or an option is unknown, missing, given twice or not what it has to be.</exception>
    public static IMediator Make(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] words = text.Split(',');
        return words[0] switch
        {
            "partition" => Partition(Read(words, "size=SIZE", "page=SIZE", "window=SIZE", "trust=off|on")),
            "test" => Size(Read(words, "ram=SIZE"), "ram") is { } ram ? new TestMediator(ram) : new TestMediator(),
            _ => throw new ApertureException($"'{words[0]}' is not a mediator; {(Suggestion.Nearest(words[0], ["partition", "test"]) is { } near
                ? $"did you mean {near}?"
                : $"there are {string.Join(" and ", Forms)}")}"),
        };
    }

    private static PartitionMediator Partition(Dictionary<string, string> options)
    {
        ulong size = Size(options, "size")
            ?? throw new ApertureException("the partition mediator needs size=, the bytes that it divides, for example partition,size=64M");
        bool trust = options.GetValueOrDefault("trust", "off") switch
        {
            "on" => true,
            "off" => false,
            { } other => throw new ApertureException($"trust={other} of the mediator partition is neither on nor off"),
        };
        return new PartitionMediator(size, Size(options, "page") ?? GrantBook.Page, Size(options, "window"), trust);
    }

    private static ulong? Size(Dictionary<string, string> options, string key) => !options.TryGetValue(key, out string? text) ? null
        : ByteSize.TryParse(text, out ulong size) ? size
        : throw new ApertureException($"{key}={text} is not a size; write it as 4096, 64M or 2G");

    private static Dictionary<string, string> Read(string[] words, params string[] known)
    {
        Dictionary<string, string> options = [];
        foreach (string word in words[1..])
        {
            string[] parts = word.Split('=', 2);
            if (parts.Length < 2 || !Array.Exists(known, k => k.StartsWith($"{parts[0]}=", StringComparison.Ordinal)))
            {
                throw new ApertureException($"'{word}' is not an option of the mediator {words[0]}; it has {string.Join(", ", known)}");
            }

            if (!options.TryAdd(parts[0], parts[1]))
            {
                throw new ApertureException($"{parts[0]}= of the mediator {words[0]} is given twice; give it once");
            }
        }

        return options;
    }
}
