using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>Turns the kernel's address ranges, whatever they are, into sorted, disjoint ones that do not touch.</summary>
internal static class IovaList
{
    internal static IReadOnlyList<AddressRange> From(IReadOnlyList<IovaRange>? ranges)
    {
        List<AddressRange> clean = [];
        foreach (IovaRange range in (ranges ?? []).Where(static r => r.Start <= r.Last).OrderBy(static r => r.Start))
        {
            // All 2^64 bytes cannot be said as a range; the last page is nobody's RAM.
            ulong last = Math.Min(range.Last, ulong.MaxValue - 4096);
            if (last < range.Start)
            {
                continue;
            }

            if (clean.Count > 0 && range.Start <= clean[^1].Last.Value + 1)
            {
                clean[^1] = AddressRange.FromBounds(clean[^1].Start, new GuestAddress(Math.Max(clean[^1].Last.Value, last)));
                continue;
            }

            clean.Add(AddressRange.FromBounds(new GuestAddress(range.Start), new GuestAddress(last)));
        }

        return clean;
    }
}
