using Aperture.Assignment;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>
/// Makes a region's description from the kernel's reply: areas cut to whole pages inside the region, sorted, disjoint, whatever the reply says.
/// </summary>
internal static class RegionShape
{
    private const ulong Page = 4096;

    internal static VfioRegion From(int index, VfioRegionReply reply)
    {
        bool mappable = reply.Flags.HasFlag(VfioRegionFlags.Map);
        return new VfioRegion(
            index,
            reply.Length,
            reply.Flags.HasFlag(VfioRegionFlags.Read),
            reply.Flags.HasFlag(VfioRegionFlags.Write),
            mappable ? Areas(reply) : [],
            mappable && reply.MsixMappable);
    }

    private static List<VfioArea> Areas(VfioRegionReply reply)
    {
        List<VfioArea> areas = [];
        ulong end = reply.Length & ~(Page - 1);
        ulong next = 0;
        foreach (VfioSparseArea area in (reply.Sparse ?? [new VfioSparseArea(0, reply.Length)]).OrderBy(static a => a.Offset))
        {
            if (area.Offset >= end)
            {
                break;
            }

            ulong first = Math.Max((area.Offset + Page - 1) & ~(Page - 1), next);
            ulong last = Math.Min(area.Length > end - area.Offset ? end : (area.Offset + area.Length) & ~(Page - 1), end);
            if (first < last)
            {
                areas.Add(new VfioArea(first, last - first));
                next = last;
            }
        }

        return areas;
    }
}
