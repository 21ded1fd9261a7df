using Aperture.Placement.Search;

namespace Aperture.Placement;

/// <summary>What is free of some ranges of addresses, by the solver's own arithmetic. Addresses from 2^63 on count as taken.</summary>
public sealed class FreeRanges
{
    private readonly FreeSpace _space;

    /// <summary>What is left of <paramref name="whole"/> without <paramref name="taken"/>; both in any order, and either may overlap itself.</summary>
    public FreeRanges(IEnumerable<AddressRange> whole, IEnumerable<AddressRange> taken) =>
        _space = new FreeSpace(whole.Select(Extent.Of), taken.Where(range => !range.IsEmpty).Order().Select(Extent.Of));

    /// <summary>The free ranges, by rising address; no two touch.</summary>
    public IReadOnlyList<AddressRange> Ranges => [.. _space.Spans.Select(span => span.ToRange())];

    /// <summary>Takes <paramref name="size"/> bytes, a power of two, at the lowest free multiple of the size; false when there is no room.</summary>
    public bool TryTakeLowest(ulong size)
    {
        if (!_space.TryFirst(0, new Shape(size, size, 0, []), out ulong start))
        {
            return false;
        }

        _space.Remove(Extent.Sized(start, size));
        return true;
    }
}
