namespace Aperture.Placement.Search;

/// <summary>
/// A half-open run of addresses, <see cref="Start"/> to before <see cref="End"/>. Solver addresses stay below 2^63, so sums of two never wrap.
/// </summary>
internal readonly record struct Extent(ulong Start, ulong End)
{
    public ulong Size => End - Start;

    public bool IsEmpty => End <= Start;

    public static Extent Of(AddressRange range) => new(range.Start.Value, range.Start.Value + range.Size);

    public static Extent Sized(ulong start, ulong size) => new(start, start + size);

    public bool Overlaps(Extent other) => Start < other.End && other.Start < End;

    public bool Contains(Extent other) => Start <= other.Start && other.End <= End;

    /// <summary>The smallest run that holds both; an empty one adds nothing.</summary>
    public Extent Union(Extent other) =>
        IsEmpty ? other : other.IsEmpty ? this : new Extent(Math.Min(Start, other.Start), Math.Max(End, other.End));

    /// <summary>Grown to multiples of <paramref name="granule"/>.</summary>
    public Extent Outward(ulong granule) => IsEmpty ? this : new Extent(Align.Down(Start, granule), Align.Up(End, granule));

    /// <summary>Shrunk to multiples of <paramref name="granule"/>; empty when nothing is left.</summary>
    public Extent Inward(ulong granule)
    {
        Extent shrunk = new(Align.Up(Start, granule), Align.Down(End, granule));
        return shrunk.IsEmpty ? default : shrunk;
    }

    public AddressRange ToRange() => new(new GuestAddress(Start), Size);

    public override string ToString() => ToRange().ToString();
}

/// <summary>Rounding to powers of two, below 2^63.</summary>
internal static class Align
{
    public static ulong Down(ulong value, ulong alignment) => value & ~(alignment - 1);

    public static ulong Up(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);
}
