using System.Collections.Immutable;

namespace Aperture.Doctor;

/// <summary>What a verdict means for the goal, worst first.</summary>
public enum VerdictKind : byte
{
    /// <summary>As the machine stands, the goal cannot be reached.</summary>
    Cannot,

    /// <summary>Has to be done on the way, or makes the result worse than it could be.</summary>
    Should,

    /// <summary>The description does not tell.</summary>
    Unknown,

    /// <summary>Worth knowing.</summary>
    Note,

    /// <summary>As it should be.</summary>
    Good,
}

/// <summary>One thing about a machine that matters for a goal.</summary>
/// <param name="Kind">What it means for the goal.</param>
/// <param name="Check">The check it comes from, in a word.</param>
/// <param name="Functions">The functions it is about, in address order; none where it is about the machine.</param>
/// <param name="Means">What it means, as a sentence.</param>
/// <param name="Seen">What was seen: file or register, and its value.</param>
public sealed record Verdict(VerdictKind Kind, string Check, ImmutableArray<PciAddress> Functions, string Means, string Seen)
{
    /// <summary>What changes it, each a command or a setting; none where nothing has to.</summary>
    public ImmutableArray<string> Changes { get; init; } = [];

    /// <summary>True for what is unknown and decides whether the goal can be reached.</summary>
    public bool Decides { get; init; }

    /// <summary>The goals that it matters for.</summary>
    public Goals Goals { get; init; }
}

/// <summary>Whether a goal can be reached.</summary>
public enum Reachability : byte
{
    /// <summary>Nothing stands in the way.</summary>
    Yes,

    /// <summary>Something decisive is not told.</summary>
    Unknown,

    /// <summary>Something stands in the way.</summary>
    No,
}
