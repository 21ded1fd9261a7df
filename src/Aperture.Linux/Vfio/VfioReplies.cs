using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Aperture.Linux.Vfio;

/// <summary>A part of a region that may be mapped (struct vfio_region_sparse_mmap_area), as the kernel gave it.</summary>
/// <param name="Offset">Bytes from the region's start.</param>
/// <param name="Length">Bytes.</param>
public readonly record struct VfioSparseArea(ulong Offset, ulong Length);

/// <summary>What VFIO_DEVICE_GET_REGION_INFO said.</summary>
/// <param name="Flags">What may be done.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Offset">Where it starts in the device's descriptor.</param>
/// <param name="Sparse">The areas of the sparse capability; null without one.</param>
/// <param name="MsixMappable">VFIO_REGION_INFO_CAP_MSIX_MAPPABLE is there.</param>
public sealed record VfioRegionReply(VfioRegionFlags Flags, ulong Length, ulong Offset, IReadOnlyList<VfioSparseArea>? Sparse, bool MsixMappable);

/// <summary>What VFIO_IOMMU_GET_INFO said.</summary>
/// <param name="PageSizes">Bit n: pages of 2^n bytes; 0 when the kernel does not say.</param>
/// <param name="Ranges">The addresses that can be mapped; null when the kernel does not say.</param>
/// <param name="MappingsLeft">How many more mappings it takes; null when the kernel does not say.</param>
public sealed record VfioIommuReply(ulong PageSizes, IReadOnlyList<IovaRange>? Ranges, uint? MappingsLeft);

/// <summary>
/// Reads the kernel's replies with their capability chains (linux/vfio.h, struct vfio_info_cap_header: id, version, offset of the next). Whatever the bytes
/// are, nothing outside them is read, a chain that points backwards ends, and counts are cut to what is there.
/// </summary>
public static class VfioReplies
{
    private const int HeaderSize = 8;

    // id and version, next, count, reserved: sparse areas and IOVA ranges follow at the same place, 16 bytes each.
    private const int ListOffset = 16;
    private const int EntrySize = 16;

    /// <summary>Reads a region's reply; a reply shorter than the structure reads as an absent region.</summary>
    public static VfioRegionReply Region(ReadOnlySpan<byte> reply)
    {
        if (reply.Length < Unsafe.SizeOf<VfioRegionInfo>())
        {
            return new VfioRegionReply(VfioRegionFlags.None, 0, 0, null, false);
        }

        VfioRegionInfo info = MemoryMarshal.Read<VfioRegionInfo>(reply);
        List<VfioSparseArea>? sparse = null;
        bool msix = false;
        bool has = info.Flags.HasFlag(VfioRegionFlags.Capabilities);
        for (int at = First(reply, has, info.CapabilityOffset, Unsafe.SizeOf<VfioRegionInfo>()); at != 0; at = Next(reply, at))
        {
            ushort id = MemoryMarshal.Read<ushort>(reply[at..]);
            msix |= id == VfioNumber.RegionMsixMappable;
            if (id == VfioNumber.RegionSparseMap && sparse is null)
            {
                sparse = [];
                foreach (ref readonly VfioSparseArea area in Entries<VfioSparseArea>(reply, at))
                {
                    sparse.Add(area);
                }
            }
        }

        return new VfioRegionReply(info.Flags, info.Length, info.Offset, sparse, msix);
    }

    /// <summary>Reads the IOMMU's reply; what it does not say is null or 0.</summary>
    public static VfioIommuReply Iommu(ReadOnlySpan<byte> reply)
    {
        // Kernels before 5.4 end the structure after the page sizes, at 16; with the capabilities' offset it ends at 20.
        const int FixedSize = 20;
        Span<byte> padded = stackalloc byte[Unsafe.SizeOf<VfioIommuInfo>()];
        padded.Clear();
        reply[..Math.Min(reply.Length, padded.Length)].CopyTo(padded);
        VfioIommuInfo info = MemoryMarshal.Read<VfioIommuInfo>(padded);
        List<IovaRange>? ranges = null;
        uint? left = null;
        bool has = (info.Flags & VfioNumber.IommuHasCapabilities) != 0;
        for (int at = First(reply, has, info.CapabilityOffset, FixedSize); at != 0; at = Next(reply, at))
        {
            ushort id = MemoryMarshal.Read<ushort>(reply[at..]);
            if (id == VfioNumber.IommuIovaRange && ranges is null)
            {
                ranges = [];
                foreach (ref readonly IovaRange range in Entries<IovaRange>(reply, at))
                {
                    ranges.Add(range);
                }
            }
            else if (id == VfioNumber.IommuDmaAvailable && left is null && reply.Length - at >= HeaderSize + sizeof(uint))
            {
                left = MemoryMarshal.Read<uint>(reply[(at + HeaderSize)..]);
            }
        }

        return new VfioIommuReply((info.Flags & VfioNumber.IommuHasPageSizes) != 0 ? info.PageSizes : 0, ranges, left);
    }

    /// <summary>Reads the functions that a hot reset affects: size, flags, count, entries of 8 bytes.</summary>
    public static IReadOnlyList<VfioDependentDevice> HotReset(ReadOnlySpan<byte> reply)
    {
        const int Start = 12;
        if (reply.Length < Start)
        {
            return [];
        }

        uint count = Math.Min(MemoryMarshal.Read<uint>(reply[8..]), (uint)(reply.Length - Start) / (uint)Unsafe.SizeOf<VfioDependentDevice>());
        return MemoryMarshal.Cast<byte, VfioDependentDevice>(reply[Start..])[..(int)count].ToArray();
    }

    private static int First(ReadOnlySpan<byte> reply, bool has, uint offset, int after) =>
        has && offset >= after && Fits(reply, offset) ? (int)offset : 0;

    // Only forwards: a chain that turns back would never end.
    private static int Next(ReadOnlySpan<byte> reply, int at)
    {
        uint next = MemoryMarshal.Read<uint>(reply[(at + 4)..]);
        return next > (uint)at && Fits(reply, next) ? (int)next : 0;
    }

    private static bool Fits(ReadOnlySpan<byte> reply, uint offset) => offset <= int.MaxValue && (int)offset <= reply.Length - HeaderSize;

    private static ReadOnlySpan<T> Entries<T>(ReadOnlySpan<byte> reply, int at)
        where T : unmanaged
    {
        if (reply.Length - at < ListOffset)
        {
            return [];
        }

        uint count = Math.Min(MemoryMarshal.Read<uint>(reply[(at + HeaderSize)..]), (uint)(reply.Length - at - ListOffset) / EntrySize);
        return MemoryMarshal.Cast<byte, T>(reply[(at + ListOffset)..])[..(int)count];
    }
}
