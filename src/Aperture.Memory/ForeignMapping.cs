using System.Numerics;
using Aperture.Linux;

namespace Aperture.Memory;

/// <summary>
/// Where a part of a device's region is mapped into this process, so that host, IOMMU and guest can all use pages as large as the region allows.
/// </summary>
public static class ForeignMapping
{
    private const ulong Page = 4096;
    private const ulong LargestAlignment = 1UL << 30;

    /// <summary>
    /// Maps <paramref name="size"/> bytes of <paramref name="file"/> from <paramref name="fileOffset"/>. They start where <paramref name="regionOffset"/> says,
    /// modulo the largest page that fits a region of <paramref name="regionSize"/> bytes. For <see cref="RamBlock.Foreign"/>: this process must not touch
    /// them. 0, or an errno.
    /// </summary>
    public static int TryMap(
        SafeFileDescriptor file, ulong fileOffset, ulong size, ulong regionOffset, ulong regionSize, bool readable, bool writable, out HostAddress host)
    {
        host = default;
        ulong alignment = regionSize == 0 ? Page : Math.Clamp(1UL << BitOperations.TrailingZeroCount(regionSize), Page, LargestAlignment);
        if (size > long.MaxValue - alignment)
        {
            return Errno.ENOMEM;
        }

        // Room of the area's size and one alignment, of which all but the area is given back.
        int errno = MemoryMap.Reserve(size + alignment, out HostAddress room);
        if (errno != 0)
        {
            return errno;
        }

        ulong skip = (regionOffset - room.Value) & (alignment - 1);
        host = room + skip;
        if (skip != 0)
        {
            _ = MemoryMap.Unmap(room, skip);
        }

        _ = MemoryMap.Unmap(host + size, alignment - skip);
        errno = MemoryMap.MapOver(host, file, fileOffset, size, readable, writable);
        if (errno != 0)
        {
            _ = MemoryMap.Unmap(host, size);
        }

        return errno;
    }
}
