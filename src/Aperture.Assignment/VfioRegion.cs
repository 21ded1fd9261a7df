namespace Aperture.Assignment;

/// <summary>Region numbers of a PCI device (linux/vfio.h, VFIO_PCI_*_REGION_INDEX).</summary>
public static class VfioRegionIndex
{
    /// <summary>BAR 0; BARs 1 to 5 follow.</summary>
    public const int Bar0 = 0;

    /// <summary>The expansion ROM.</summary>
    public const int Rom = 6;

    /// <summary>Configuration space.</summary>
    public const int Config = 7;

    /// <summary>The legacy VGA ranges.</summary>
    public const int Vga = 8;
}

/// <summary>A part of a region that may be mapped.</summary>
/// <param name="Offset">Bytes from the region's start; whole host pages.</param>
/// <param name="Size">Bytes; whole host pages.</param>
public readonly record struct VfioArea(ulong Offset, ulong Size)
{
    private const ulong Page = 4096;

    /// <summary>
    /// What of <paramref name="claimed"/> areas can be mapped of a region of <paramref name="size"/> bytes: whole pages inside it, sorted, disjoint, whatever
    /// is claimed.
    /// </summary>
    public static List<VfioArea> Cut(ulong size, IEnumerable<VfioArea> claimed)
    {
        List<VfioArea> areas = [];
        ulong end = size & ~(Page - 1);
        ulong next = 0;
        foreach (VfioArea area in claimed.OrderBy(static a => a.Offset))
        {
            if (area.Offset >= end)
            {
                break;
            }

            ulong first = Math.Max((area.Offset + Page - 1) & ~(Page - 1), next);
            ulong last = Math.Min(area.Size > end - area.Offset ? end : (area.Offset + area.Size) & ~(Page - 1), end);
            if (first < last)
            {
                areas.Add(new VfioArea(first, last - first));
                next = last;
            }
        }

        return areas;
    }
}

/// <summary>A region of a device, as VFIO_DEVICE_GET_REGION_INFO describes it.</summary>
/// <param name="Index">Its number.</param>
/// <param name="Size">Bytes; 0 when the device has it not.</param>
/// <param name="Readable">Reads are allowed.</param>
/// <param name="Writable">Writes are allowed.</param>
/// <param name="Areas">What may be mapped: the whole, the areas of the sparse capability, or nothing. Sorted, disjoint, inside the region.</param>
/// <param name="MsixMappable">The pages of the MSI-X table may be mapped too (VFIO_REGION_INFO_CAP_MSIX_MAPPABLE).</param>
public sealed record VfioRegion(int Index, ulong Size, bool Readable, bool Writable, IReadOnlyList<VfioArea> Areas, bool MsixMappable);
