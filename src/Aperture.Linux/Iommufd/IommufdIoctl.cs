using System.Runtime.CompilerServices;
using Aperture.Linux.Vfio;

namespace Aperture.Linux.Iommufd;

/// <summary>The calls of /dev/iommu (linux/iommufd.h). Nothing throws: each answers with its result or with minus the errno.</summary>
public static unsafe class IommufdIoctl
{
    private const int MostRanges = 1024;

    /// <summary>IOMMU_IOAS_ALLOC: an empty I/O address space.</summary>
    public static int TryAllocate(SafeFileDescriptor iommufd, out uint id)
    {
        IommufdIoasAlloc allocate = new() { Size = (uint)Unsafe.SizeOf<IommufdIoasAlloc>() };
        int result = Ioctl.Call(iommufd, (uint)IommufdRequest.IoasAlloc, ref allocate);
        id = result < 0 ? 0 : allocate.Id;
        return result;
    }

    /// <summary>IOMMU_DESTROY.</summary>
    public static int TryDestroy(SafeFileDescriptor iommufd, uint id)
    {
        IommufdDestroy destroy = new() { Size = (uint)Unsafe.SizeOf<IommufdDestroy>(), Id = id };
        return Ioctl.Call(iommufd, (uint)IommufdRequest.Destroy, ref destroy);
    }

    /// <summary>IOMMU_IOAS_IOVA_RANGES: what can be mapped, given the devices attached now, and how it must be aligned.</summary>
    public static int TryGetRanges(SafeFileDescriptor iommufd, uint id, out IReadOnlyList<IovaRange> ranges, out ulong alignment)
    {
        ranges = [];
        alignment = 0;
        for (uint room = 32; ;)
        {
            IovaRange[] found = new IovaRange[room];
            IommufdIovaRanges ask = new() { Size = (uint)Unsafe.SizeOf<IommufdIovaRanges>(), Id = id, Count = room };
            int result;

            // SAFETY: the array is pinned for the call, and Count tells the kernel its length.
            fixed (IovaRange* start = found)
            {
                ask.Ranges = (ulong)start;
                result = Ioctl.Call(iommufd, (uint)IommufdRequest.IoasIovaRanges, ref ask);
            }

            if (result == -Errno.EMSGSIZE && ask.Count > room && room < MostRanges)
            {
                room = Math.Min(ask.Count, MostRanges);
                continue;
            }

            if (result >= 0)
            {
                ranges = found[..(int)Math.Min(ask.Count, room)];
                alignment = ask.Alignment;
            }

            return result;
        }
    }

    /// <summary>IOMMU_IOAS_MAP: the devices reach <paramref name="length"/> bytes of this process at <paramref name="iova"/>.</summary>
    public static int TryMap(SafeFileDescriptor iommufd, uint id, ulong iova, ulong length, HostAddress address, IommufdMapFlags flags)
    {
        IommufdMap map = new()
        {
            Size = (uint)Unsafe.SizeOf<IommufdMap>(),
            Flags = flags,
            Id = id,
            Address = address.Value,
            Length = length,
            Iova = iova,
        };
        return Ioctl.Call(iommufd, (uint)IommufdRequest.IoasMap, ref map);
    }

    /// <summary>
    /// IOMMU_IOAS_MAP_FILE (Linux 6.14; a device's DMA buffer from 6.19 on): as <see cref="TryMap"/>, from <paramref name="start"/> in a file.
    /// </summary>
    public static int TryMapFile(SafeFileDescriptor iommufd, uint id, ulong iova, ulong length, SafeFileDescriptor file, ulong start, IommufdMapFlags flags)
    {
        ArgumentNullException.ThrowIfNull(file);
        IommufdMapFile map = new()
        {
            Size = (uint)Unsafe.SizeOf<IommufdMapFile>(),
            Flags = flags,
            Id = id,
            File = file.Number,
            Start = start,
            Length = length,
            Iova = iova,
        };
        int result = Ioctl.Call(iommufd, (uint)IommufdRequest.IoasMapFile, ref map);
        GC.KeepAlive(file);
        return result;
    }

    /// <summary>IOMMU_IOAS_UNMAP; <paramref name="unmapped"/> is how many bytes were. ENOENT when nothing is mapped there.</summary>
    public static int TryUnmap(SafeFileDescriptor iommufd, uint id, ulong iova, ulong length, out ulong unmapped)
    {
        IommufdUnmap unmap = new() { Size = (uint)Unsafe.SizeOf<IommufdUnmap>(), Id = id, Iova = iova, Length = length };
        int result = Ioctl.Call(iommufd, (uint)IommufdRequest.IoasUnmap, ref unmap);
        unmapped = result < 0 ? 0 : unmap.Length;
        return result;
    }
}
