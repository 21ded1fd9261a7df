using Aperture.Linux;

namespace Aperture.Memory;

/// <summary>
/// Where a part of a device's region is mapped into this process, so that host, IOMMU and guest can all use pages as large as the region allows.
/// </summary>
public static class ForeignMapping
{
    /// <summary>
    /// Maps <paramref name="size"/> bytes of <paramref name="file"/> from <paramref name="fileOffset"/>. They start where <paramref name="regionOffset"/> says,
    /// modulo the largest page that fits a region of <paramref name="regionSize"/> bytes. For <see cref="RamBlock.Foreign"/>: this process must not touch
    /// them. 0, or an errno.
    /// </summary>
    public static int TryMap(
        SafeFileDescriptor file, ulong fileOffset, ulong size, ulong regionOffset, ulong regionSize, bool readable, bool writable, out HostAddress host)
    {
        host = default;
        ulong alignment = AlignedRoom.AlignmentFor(regionSize);
        if (size > long.MaxValue - alignment)
        {
            return Errno.ENOMEM;
        }

        int errno = AlignedRoom.TryTake(size, alignment, regionOffset, usable: false, out host);
        if (errno != 0)
        {
            return errno;
        }

        errno = MemoryMap.MapOver(host, file, fileOffset, size, readable, writable);
        if (errno != 0)
        {
            _ = MemoryMap.Unmap(host, size);
        }

        return errno;
    }
}
