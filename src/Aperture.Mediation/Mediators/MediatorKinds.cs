using System.Globalization;
using Aperture.Mediation.Nvme;

namespace Aperture.Mediation.Mediators;

/// <summary>The mediators that come along, by the words that users write: <c>KIND[,KEY=VALUE]...</c>.</summary>
public static class MediatorKinds
{
    /// <summary>Each kind's form, for help.</summary>
    public static IReadOnlyList<string> Forms { get; } =
    [
        "partition,size=SIZE[,page=4K][,window=SIZE][,trust=off|on]",
        "partition,vfio=BDF,bar=N[,page=4K][,window=SIZE][,trust=off|on]",
        "nvme,vfio=BDF,shares=SIZE/SIZE/...[,start=0][,nsid=1]",
        "test[,ram=1M]",
    ];

    /// <summary>Makes the mediator that <paramref name="text"/> asks for.</summary>
    /// <param name="text">What is asked for.</param>
    /// <param name="open">Opens a function of the host, by what users write for it, for a mediator alone; null: there are none.</param>
    /// <param name="events">Who hears of what goes wrong later; the nvme mediator needs it.</param>
    /// <exception cref="ApertureException">There is none such, or an option is unknown, missing, given twice or not what it has to be.</exception>
    public static IMediator Make(string text, Func<string, HostFunction>? open = null, IEventSink? events = null)
    {
        ArgumentNullException.ThrowIfNull(text);
        string[] words = text.Split(',');
        return words[0] switch
        {
            "partition" => Partition(Read(words, "size=SIZE", "page=SIZE", "window=SIZE", "trust=off|on", "vfio=BDF", "bar=N"), open),
            "nvme" => Nvme(Read(words, "vfio=BDF", "shares=SIZE/SIZE/...", "start=SIZE", "nsid=NUMBER"), open, events),
            "test" => Size(Read(words, "ram=SIZE"), "ram") is { } ram ? new TestMediator(ram) : new TestMediator(),
            _ => throw new ApertureException($"'{words[0]}' is not a mediator; {(Suggestion.Nearest(words[0], ["partition", "nvme", "test"]) is { } near
                ? $"did you mean {near}?"
                : $"there are {string.Join(", ", Forms)}")}"),
        };
    }

    private static PartitionMediator Partition(Dictionary<string, string> options, Func<string, HostFunction>? open)
    {
        bool trust = options.GetValueOrDefault("trust", "off") switch
        {
            "on" => true,
            "off" => false,
            { } other => throw new ApertureException($"trust={other} of the mediator partition is neither on nor off"),
        };
        ulong page = Size(options, "page") ?? GrantBook.Page;
        ulong? window = Size(options, "window");
        if (options.TryGetValue("vfio", out string? function))
        {
            if (options.ContainsKey("size"))
            {
                throw new ApertureException("the partition mediator divides all of a BAR, and memory of size= bytes only without vfio=; give one of them");
            }

            int bar = Bar(options);
            HostFunction opened = open?.Invoke(function) ?? throw new ApertureException("this program opens no functions of the host; leave vfio= out");
            return PartitionMediator.Over(opened, bar, page, window, trust);
        }

        if (options.ContainsKey("bar"))
        {
            throw new ApertureException("bar= of the mediator partition is that of a function; give vfio= too");
        }

        ulong size = Size(options, "size")
            ?? throw new ApertureException("the partition mediator needs size=, the bytes that it divides, for example partition,size=64M");
        return new PartitionMediator(size, page, window, trust);
    }

    private static int Bar(Dictionary<string, string> options)
    {
        string text = options.GetValueOrDefault("bar")
            ?? throw new ApertureException("the partition mediator needs bar=, the number of the function's memory BAR, for example bar=2");
        return text is [>= '0' and <= '5'] ? text[0] - '0' : throw new ApertureException($"bar={text} of the mediator partition is not a number from 0 to 5");
    }

    private static NvmeMediator Nvme(Dictionary<string, string> options, Func<string, HostFunction>? open, IEventSink? events)
    {
        string drive = options.GetValueOrDefault("vfio")
            ?? throw new ApertureException("the nvme mediator needs vfio=, the drive that it shares, for example nvme,vfio=0000:01:00.0,shares=64G/64G");
        string sizes = options.GetValueOrDefault("shares")
            ?? throw new ApertureException("the nvme mediator needs shares=, how much of the drive each guest gets, for example shares=64G/64G");
        List<ulong> shares = [];
        foreach (string size in sizes.Split('/'))
        {
            shares.Add(ByteSize.TryParse(size, out ulong bytes) && bytes != 0
                ? bytes
                : throw new ApertureException($"{size} in shares={sizes} is not a size; write it as 4096, 64M or 2G"));
        }

        string nsid = options.GetValueOrDefault("nsid", "1");
        if (!uint.TryParse(nsid, NumberStyles.None, CultureInfo.InvariantCulture, out uint space) || space is 0 or uint.MaxValue)
        {
            throw new ApertureException($"nsid={nsid} is not the number of a namespace; give one from 1 on");
        }

        ulong start = Size(options, "start") ?? 0;
        return open is null || events is null
            ? throw new ApertureException("this program opens no functions of the host, so it has no drive to share; run aperture mediate")
            : new NvmeMediator(open(drive), shares, start, space, events);
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
