using System.Collections.Immutable;

namespace Aperture.Memory;

/// <summary>
/// The counts of every region that was ever seen in a space, by name. Bounded: a guest brings no new names, but a user who plugs devices in and out may, so
/// what comes after <see cref="Capacity"/> names counts together.
/// </summary>
internal sealed class RegionRoster
{
    /// <summary>Names that count apart.</summary>
    public const int Capacity = 1 << 14;

    private readonly Lock _gate = new();

    // Both under the gate: by name, and in the order of their coming.
    private readonly Dictionary<string, AccessCounts> _byName = new(StringComparer.Ordinal);
    private readonly List<AccessCounts> _all = [];
    private AccessCounts? _rest;

    /// <summary>Gives each region that comes into the view its counts; before the view is published, so that whoever finds the region finds them.</summary>
    public void Admit(ImmutableArray<FlatRange> added)
    {
        lock (_gate)
        {
            foreach (FlatRange run in added)
            {
                run.Region.Counts ??= CountsOf(run.Region.Name);
            }
        }
    }

    /// <summary>What was counted so far, in the order in which the names first came into the view.</summary>
    public IReadOnlyList<RegionCount> Sums()
    {
        lock (_gate)
        {
            return [.. _all.Select(counts => new RegionCount(counts.Name, counts.Reads, counts.Writes))];
        }
    }

    private AccessCounts CountsOf(string name)
    {
        if (_byName.TryGetValue(name, out AccessCounts? known))
        {
            return known;
        }

        if (_byName.Count == Capacity)
        {
            if (_rest is null)
            {
                _rest = new AccessCounts("(regions of further names)");
                _all.Add(_rest);
            }

            return _rest;
        }

        AccessCounts counts = new(name);
        _byName.Add(name, counts);
        _all.Add(counts);
        return counts;
    }
}
