using Aperture.Linux;

namespace Aperture.Assignment;

/// <summary>A piece of a device's region that is mapped, and for which whoever serves it provides no memory.</summary>
/// <param name="Region">What messages call the region.</param>
/// <param name="Offset">Bytes from the region's start; whole pages.</param>
/// <param name="Size">Bytes; whole pages.</param>
public readonly record struct MissingMemory(string Region, ulong Offset, ulong Size);

/// <summary>Puts all-ones where a device's memory is missing: a guest that touches such a page could not go on otherwise.</summary>
public static class MissingPages
{
    private const ulong Page = 4096;

    // What a guest may make this process take in place of a region's missing memory, at a time.
    private const ulong MostReplaced = 64UL << 20;

    /// <summary>Replaces what is missing of a mapping that can be read, and tells where that was.</summary>
    /// <param name="region">What messages call the region.</param>
    /// <param name="host">The mapping, which stays the caller's meanwhile.</param>
    /// <param name="offset">Where it starts in the region.</param>
    /// <param name="size">Bytes; whole pages.</param>
    public static IReadOnlyList<MissingMemory> Replace(string region, HostAddress host, ulong offset, ulong size)
    {
        List<(ulong Start, ulong Size)> found = [];
        ulong room = MostReplaced;
        Find(host, 0, size, found, ref room);
        found.RemoveAll(missing => MemoryMap.ReplaceByOnes(host + missing.Start, missing.Size) != 0);
        return [.. found.Select(missing => new MissingMemory(region, offset + missing.Start, missing.Size))];
    }

    // By halves: the kernel says that a page is missing, but not which (madvise(2), MADV_POPULATE_READ). EINVAL are registers, of which it knows by itself.
    private static void Find(HostAddress host, ulong start, ulong size, List<(ulong Start, ulong Size)> found, ref ulong room)
    {
        if (room == 0 || MemoryMap.Advise(host + start, size, MemoryAdvice.PopulateRead) != Errno.EFAULT)
        {
            return;
        }

        if (size > Page)
        {
            ulong half = Math.Max(Page, size / 2 & ~(Page - 1));
            Find(host, start, half, found, ref room);
            Find(host, start + half, size - half, found, ref room);
            return;
        }

        room -= size;
        if (found.Count > 0 && found[^1] is var last && last.Start + last.Size == start)
        {
            found[^1] = (last.Start, last.Size + size);
        }
        else
        {
            found.Add((start, size));
        }
    }
}
