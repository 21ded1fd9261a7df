namespace Aperture.Mirror;

/// <summary>Collects what a reader must know beyond the map: one sentence for each reason, with everything that it holds for.</summary>
internal sealed class MirrorNotes
{
    private readonly List<string> reasons = [];
    private readonly Dictionary<string, List<string>> subjects = [];

    /// <summary>Notes that <paramref name="reason"/> holds for <paramref name="subject"/>.</summary>
    public void Add(string reason, string? subject = null)
    {
        if (!subjects.TryGetValue(reason, out List<string>? list))
        {
            reasons.Add(reason);
            subjects.Add(reason, list = []);
        }

        if (subject is not null)
        {
            list.Add(subject);
        }
    }

    /// <summary>The sentences, in the order in which their reasons came up.</summary>
    public IReadOnlyList<string> Sentences() =>
        [.. reasons.Select(reason => subjects[reason] is { Count: > 0 } list ? $"{reason}: {string.Join(", ", list)}" : reason)];
}
