using Aperture.Assignment;
using Aperture.Linux.Vfio;

namespace Aperture.Vfio;

/// <summary>
/// Makes a region's description from the kernel's reply: areas cut to whole pages inside the region, sorted, disjoint, whatever the reply says.
/// </summary>
internal static class RegionShape
{
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

    private static List<VfioArea> Areas(VfioRegionReply reply) =>
        VfioArea.Cut(reply.Length, reply.Sparse?.Select(static a => new VfioArea(a.Offset, a.Length)) ?? [new VfioArea(0, reply.Length)]);
}
