using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Memory.Tests;

/// <summary>One edit of a space: places a region, or removes one that is placed, chosen by <paramref name="Pick"/>.</summary>
public sealed record Edit(bool Removes, int Pick, int Start, int Size, int Priority, int Kind, int RamStart, bool Commits)
{
    /// <summary>Edits in a space of <paramref name="units"/> units.</summary>
    public static Gen<Edit[]> Sequences(int units) =>
        (from removes in Gen.Choose(0, 2)
         from pick in Gen.Choose(0, 100)
         from start in Gen.Choose(0, units - 1)
         from size in Gen.Choose(1, units)
         from priority in Gen.Choose(-1, 2)
         from kind in Gen.Choose(0, 4)
         from ramStart in Gen.Choose(0, units - 1)
         from commits in Gen.Choose(0, 2)
         select new Edit(removes == 0, pick, start, Math.Min(size, units - start), priority, kind, ramStart, commits == 0))
        .ArrayOf();
}

/// <summary>
/// A brute-force model of a space: a list of placements, asked unit by unit who wins. A unit is <paramref name="unitSize"/> bytes; the space starts at
/// <paramref name="origin"/>. Edits are made to the model and to a real change alike.
/// </summary>
internal sealed class Layout(ulong origin, ulong unitSize, int units, RamBlock ram)
{
    private readonly List<(Region Region, int Start, int Size, int Priority)> _placed = []; // oldest first
    private int _names;

    public int Units => units;

    public GuestAddress At(int unit) => new(origin + (ulong)unit * unitSize);

    public void Apply(Edit edit, AddressChange change)
    {
        if (edit.Removes)
        {
            if (_placed.Count > 0)
            {
                int victim = edit.Pick % _placed.Count;
                Assert.True(change.Remove(_placed[victim].Region));
                _placed.RemoveAt(victim);
            }

            return;
        }

        ulong size = (ulong)edit.Size * unitSize;
        ulong ramStart = Math.Min((ulong)edit.RamStart * unitSize, ram.Size - size);
        string name = $"r{_names++}";
        ByteDevice device = new((int)size) { Base = At(edit.Start).Value };
        Region region = edit.Kind switch
        {
            0 => Region.Trapped(name, size, device),
            1 => Region.Hole(name, size),
            2 => Region.ForRom(name, ram, ramStart, size),
            3 => Region.ForRom(name, ram, ramStart, size, device),
            _ => Region.ForRam(name, ram, ramStart, size),
        };
        change.Place(region, At(edit.Start), edit.Priority);
        _placed.Add((region, edit.Start, edit.Size, edit.Priority));
    }

    /// <summary>Who answers in a unit, and at which offset it starts there; null where nobody does.</summary>
    public (Region Region, ulong Offset)? Owner(int unit)
    {
        (Region Region, ulong Offset)? best = null;
        int bestPriority = int.MinValue;
        foreach ((Region region, int start, int size, int priority) in _placed)
        {
            if (unit >= start && unit < start + size && priority >= bestPriority)
            {
                bestPriority = priority;
                best = (region, (ulong)(unit - start) * unitSize);
            }
        }

        return best is { Region.Kind: RegionKind.Hole } ? null : best;
    }
}
