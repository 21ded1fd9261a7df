using System.Numerics;
using Aperture.Linux;

namespace Aperture.Memory;

/// <summary>Addresses of this process that lie to large pages as other addresses do: only then can host, IOMMU and guest all map by them.</summary>
internal static class AlignedRoom
{
    private const ulong Page = 4096;
    private const ulong LargestAlignment = 1UL << 30;

    /// <summary>The largest page that fits a region of <paramref name="regionSize"/> bytes, 1 GiB at most.</summary>
    public static ulong AlignmentFor(ulong regionSize) =>
        regionSize == 0 ? Page : Math.Clamp(1UL << BitOperations.TrailingZeroCount(regionSize), Page, LargestAlignment);

    /// <summary>
    /// Takes <paramref name="size"/> bytes that start at <paramref name="offset"/> modulo <paramref name="alignment"/>: private memory of zeros, or, if it is
    /// not <paramref name="usable"/>, room to map into in which nothing may be touched. 0, or an errno.
    /// </summary>
    public static int TryTake(ulong size, ulong alignment, ulong offset, bool usable, out HostAddress address)
    {
        address = default;

        // The size and one alignment, of which all but the size is given back.
        int errno = usable ? MemoryMap.MapPrivateMemory(size + alignment, 0, out HostAddress room) : MemoryMap.Reserve(size + alignment, out room);
        if (errno != 0)
        {
            return errno;
        }

        ulong skip = (offset - room.Value) & (alignment - 1);
        address = room + skip;
        if (skip != 0)
        {
            _ = MemoryMap.Unmap(room, skip);
        }

        _ = MemoryMap.Unmap(address + size, alignment - skip);
        return 0;
    }
}
