namespace Aperture.Doctor;

/// <summary>What a user wants of a host's devices.</summary>
[Flags]
public enum Goals : byte
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Give a device to a guest.</summary>
    Passthrough = 1 << 0,

    /// <summary>Have devices of one guest reach each other's memory.</summary>
    P2p = 1 << 1,

    /// <summary>Have network controllers and drives of a guest reach the memory of its GPUs.</summary>
    GpuDirect = 1 << 2,

    /// <summary>Make virtual functions and give these to guests.</summary>
    Sriov = 1 << 3,

    /// <summary>Give a guest the host's topology with the host's addresses.</summary>
    Mirror = 1 << 4,

    /// <summary>All that give a device itself to a guest.</summary>
    Assigning = Passthrough | P2p | GpuDirect | Mirror,

    /// <summary>Everything.</summary>
    All = Assigning | Sriov,
}

/// <summary>Their words.</summary>
public static class GoalWords
{
    private static readonly (Goals Goal, string Word)[] Words =
    [
        (Goals.Passthrough, "passthrough"), (Goals.P2p, "p2p"), (Goals.GpuDirect, "gpudirect"), (Goals.Sriov, "sriov"), (Goals.Mirror, "mirror"),
    ];

    /// <summary>The words as a command line shows them.</summary>
    public static string Form { get; } = string.Join('|', Words.Select(static pair => pair.Word));

    /// <summary>The goals of <paramref name="set"/>, one by one.</summary>
    public static IEnumerable<Goals> Each(Goals set) => Words.Select(static pair => pair.Goal).Where(goal => (set & goal) != 0);

    /// <summary>The word of one goal.</summary>
    public static string Of(Goals goal) => Array.Find(Words, pair => pair.Goal == goal).Word;

    /// <summary>The goal of a word, or none.</summary>
    public static Goals? Find(string word) => Array.Find(Words, pair => pair.Word == word) is { Word: not null } found ? found.Goal : null;
}
