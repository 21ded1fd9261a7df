namespace Aperture.Mirror;

/// <summary>Collects what a reader must know beyond the map: one sentence for each reason, with everything that it holds for.</summary>
internal sealed class MirrorNotes
{
    private readonly List<string> _reasons = [];
    private readonly Dictionary<string, List<string>> _subjects = [];

    /// <summary>Notes that <paramref name="reason"/> holds for <paramref name="subject"/>.</summary>
    public void Add(string reason, string? subject = null)
    {
        if (!_subjects.TryGetValue(reason, out List<string>? list))
        {
            _reasons.Add(reason);
            _subjects.Add(reason, list = []);
        }

        if (subject is not null)
        {
            list.Add(subject);
        }
    }

    /// <summary>The sentences, in the order in which their reasons came up.</summary>
    public IReadOnlyList<string> Sentences() =>
        [.. _reasons.Select(reason => _subjects[reason] is { Count: > 0 } list ? $"{reason}: {string.Join(", ", list)}" : reason)];
}
