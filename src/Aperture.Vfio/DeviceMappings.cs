using Aperture.Linux;

namespace Aperture.Vfio;

/// <summary>A piece of a device's region that is mapped into this process.</summary>
/// <param name="Host">Where.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Device">The device.</param>
/// <param name="Region">The region's number.</param>
/// <param name="Offset">Where in the region.</param>
internal sealed record DeviceMapping(HostAddress Host, ulong Size, SafeFileDescriptor Device, uint Region, ulong Offset)
{
    /// <summary>What messages call the region.</summary>
    internal string Name { get; init; } = "";

    /// <summary>The region may be read.</summary>
    internal bool IsReadable { get; init; }
}

/// <summary>A piece of a device's region for which its driver provides no memory.</summary>
/// <param name="Region">What messages call the region.</param>
/// <param name="Offset">Bytes from the region's start; whole pages.</param>
/// <param name="Size">Bytes; whole pages.</param>
public readonly record struct MissingMemory(string Region, ulong Offset, ulong Size);

/// <summary>
/// Which addresses of this process are which device's memory. iommufd needs to know, because it takes a device's memory as a buffer of the device, not by
/// its address. Thread-safe.
/// </summary>
internal sealed class DeviceMappings
{
    private const ulong Page = 4096;

    // What a guest may make this process take in place of a region's missing memory, at a time.
    private const ulong MostReplaced = 64UL << 20;

    private readonly Lock _gate = new();
    private readonly List<DeviceMapping> _mappings = [];

    internal void Add(DeviceMapping mapping)
    {
        lock (_gate)
        {
            _mappings.Add(mapping);
        }
    }

    internal void Remove(DeviceMapping mapping)
    {
        lock (_gate)
        {
            _mappings.Remove(mapping);
        }
    }

    /// <summary>Puts all-ones where a mapping has no memory behind it, and tells where that was.</summary>
    internal IReadOnlyList<MissingMemory> ReplaceMissing()
    {
        // Under the lock, which who unmaps takes first: what is replaced is still the device's.
        lock (_gate)
        {
            return [.. _mappings.Where(static mapping => mapping.IsReadable).SelectMany(ReplaceMissing)];
        }
    }

    private static List<MissingMemory> ReplaceMissing(DeviceMapping mapping)
    {
        List<MissingMemory> found = [];
        ulong room = MostReplaced;
        Find(mapping, 0, mapping.Size, found, ref room);
        found.RemoveAll(missing => MemoryMap.ReplaceByOnes(mapping.Host + (missing.Offset - mapping.Offset), missing.Size) != 0);
        return found;
    }

    // By halves: the kernel says that a page is missing, but not which (madvise(2), MADV_POPULATE_READ). EINVAL are registers, of which it knows by itself.
    private static void Find(DeviceMapping mapping, ulong start, ulong size, List<MissingMemory> found, ref ulong room)
    {
        if (room == 0 || MemoryMap.Advise(mapping.Host + start, size, MemoryAdvice.PopulateRead) != Errno.EFAULT)
        {
            return;
        }

        if (size > Page)
        {
            ulong half = Math.Max(Page, size / 2 & ~(Page - 1));
            Find(mapping, start, half, found, ref room);
            Find(mapping, start + half, size - half, found, ref room);
            return;
        }

        room -= size;
        ulong offset = mapping.Offset + start;
        if (found.Count > 0 && found[^1] is var last && last.Offset + last.Size == offset)
        {
            found[^1] = last with { Size = last.Size + size };
        }
        else
        {
            found.Add(new MissingMemory(mapping.Name, offset, size));
        }
    }

    /// <summary>The mapping that holds all of the addresses, or null.</summary>
    internal DeviceMapping? Find(HostAddress host, ulong size)
    {
        lock (_gate)
        {
            return _mappings.Find(
                mapping => host >= mapping.Host && host.Value - mapping.Host.Value < mapping.Size && size <= mapping.Size - (host.Value - mapping.Host.Value));
        }
    }
}
