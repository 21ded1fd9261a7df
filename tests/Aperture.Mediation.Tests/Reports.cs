using System.Text.Json;

namespace Aperture.Mediation.Tests;

/// <summary>What was reported.</summary>
internal sealed class Reports : IEventSink
{
    private readonly List<(string Kind, string? Sentence)> _all = [];

    public bool Enabled => true;

    public TimeSpan Elapsed => TimeSpan.Zero;

    public string[] Notices
    {
        get
        {
            lock (_all)
            {
                return [.. _all.Select(static r => r.Sentence).OfType<string>()];
            }
        }
    }

    public void Write(string kind, Action<Utf8JsonWriter>? fields = null) => Add(kind, null);

    public void Notice(string kind, string sentence, Action<Utf8JsonWriter>? fields = null) => Add(kind, sentence);

    /// <summary>Waits until so many events of a kind were reported.</summary>
    public void Await(string kind, int times = 1) =>
        Assert.True(SpinWait.SpinUntil(() => Count(kind) >= times, 20_000), $"{kind} was not reported {times} times: {string.Join("; ", Notices)}");

    public int Count(string kind)
    {
        lock (_all)
        {
            return _all.Count(r => r.Kind == kind);
        }
    }

    private void Add(string kind, string? sentence)
    {
        lock (_all)
        {
            _all.Add((kind, sentence));
        }
    }
}
