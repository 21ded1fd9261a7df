using System.Collections.Immutable;

namespace Aperture.Pci;

/// <summary>A BAR that decodes.</summary>
/// <param name="Function">The function.</param>
/// <param name="Bar">The BAR; its kind says whether the range is memory or I/O.</param>
/// <param name="Range">The addresses it takes.</param>
public readonly record struct DecodedBar(PciFunction Function, Bar Bar, AddressRange Range);

/// <summary>
/// What decodes where: immutable, so that a swap of two BARs is one step. Maps that follow one another share all but what differs: the next one costs as much
/// as a search.
/// </summary>
public sealed class DecodeMap
{
    private readonly ImmutableList<DecodedBar> _memory;
    private readonly ImmutableList<DecodedBar> _io;
    private readonly ImmutableList<RefusedBar> _refused;
    private readonly ImmutableDictionary<Bar, AddressRange> _places;

    internal DecodeMap(
        ImmutableList<DecodedBar> memory,
        ImmutableList<DecodedBar> io,
        ImmutableList<RefusedBar> refused,
        ImmutableDictionary<Bar, AddressRange> places,
        DecodeBasis basis)
    {
        _memory = memory;
        _io = io;
        _refused = refused;
        _places = places;
        Basis = basis;
    }

    /// <summary>Nothing decodes.</summary>
    public static DecodeMap Empty { get; } = new([], [], [], ImmutableDictionary<Bar, AddressRange>.Empty, DecodeBasis.None);

    /// <summary>Memory BARs and ROMs that decode, by rising address; no two overlap.</summary>
    public IReadOnlyList<DecodedBar> Memory => _memory;

    /// <summary>I/O BARs that decode, by rising port; no two overlap.</summary>
    public IReadOnlyList<DecodedBar> Io => _io;

    /// <summary>Every BAR that does not decode, depth first through the hierarchy, then by index.</summary>
    public IReadOnlyList<RefusedBar> Refused => _refused;

    /// <summary>The BARs that decode and whose pins follow the guest: memory by rising address, then I/O.</summary>
    public IReadOnlyList<DecodedBar> Following => Basis.Following;

    /// <summary>Orders by start address, which no two of one map have in common.</summary>
    internal static IComparer<DecodedBar> ByStart { get; } =
        Comparer<DecodedBar>.Create(static (left, right) => left.Range.Start.CompareTo(right.Range.Start));

    internal DecodeBasis Basis { get; }

    internal ImmutableDictionary<Bar, AddressRange> Places => _places;

    /// <summary>Where a BAR decodes, or null.</summary>
    public AddressRange? Find(Bar bar) => _places.TryGetValue(bar, out AddressRange range) ? range : null;

    /// <summary>Why a BAR does not decode; null for one that does, or that was in no hierarchy when the map was made.</summary>
    public RefusedBar? RefusalOf(Bar bar)
    {
        ArgumentNullException.ThrowIfNull(bar);
        if (!Basis.Order.ContainsKey(bar.Function))
        {
            return null;
        }

        int place = _refused.BinarySearch(new RefusedBar(bar.Function, bar, null, default), Basis);
        return place >= 0 ? _refused[place] : null;
    }

    internal ImmutableList<DecodedBar> Entries(bool isIo) => isIo ? _io : _memory;

    internal ImmutableList<RefusedBar> Refusals() => _refused;
}

/// <summary>What a map was made from besides the registers of endpoints, and orders its refusals: depth first through the hierarchy, then by index.</summary>
/// <param name="Topology">The hierarchy's shape (<see cref="PciHierarchy.Topology"/>).</param>
/// <param name="Limits">The host bridge's limits.</param>
/// <param name="Order">Each function's place in the depth-first order.</param>
/// <param name="Following">The BARs that decode and whose pins follow the guest.</param>
/// <param name="HasConflict">A BAR is refused because of another: one that moves away may let it in.</param>
internal sealed record DecodeBasis(
    object? Topology, DecodeLimits? Limits, IReadOnlyDictionary<PciFunction, int> Order, IReadOnlyList<DecodedBar> Following, bool HasConflict)
    : IComparer<RefusedBar>
{
    /// <summary>Of a map that was made from nothing.</summary>
    public static DecodeBasis None { get; } = new(null, null, ImmutableDictionary<PciFunction, int>.Empty, [], false);

    /// <inheritdoc/>
    public int Compare(RefusedBar x, RefusedBar y)
    {
        int order = Order[x.Function].CompareTo(Order[y.Function]);
        return order != 0 ? order : x.Bar.Index.CompareTo(y.Bar.Index);
    }
}
