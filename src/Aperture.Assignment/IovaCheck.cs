namespace Aperture.Assignment;

/// <summary>Whether assigned devices can reach guest memory at given addresses, from the address ranges of the host's IOMMU.</summary>
public static class IovaCheck
{
    /// <summary>
    /// Null when all of <paramref name="range"/> can be mapped, otherwise why not, as the rest of a sentence. <paramref name="ranges"/> is sorted and disjoint,
    /// as <see cref="IIommuMap.Ranges"/>; an empty list says nothing, so nothing is refused.
    /// </summary>
    public static string? WhyNot(AddressRange range, IReadOnlyList<AddressRange> ranges)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        if (ranges.Count == 0 || range.IsEmpty)
        {
            return null;
        }

        GuestAddress next = range.Start;
        foreach (AddressRange free in ranges)
        {
            if (free.Last < next)
            {
                continue;
            }

            if (free.Start > next)
            {
                GuestAddress last = free.Start > range.Last ? range.Last : free.Start - 1;
                return $"the host's IOMMU reserves {AddressRange.FromBounds(next, last)}";
            }

            if (free.Last >= range.Last)
            {
                return null;
            }

            next = free.Last + 1;
        }

        return $"the host's IOMMU maps addresses up to {ranges[^1].Last} only";
    }
}
