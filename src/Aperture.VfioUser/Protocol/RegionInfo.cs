using System.Buffers.Binary;
using Aperture.Assignment;

namespace Aperture.VfioUser.Protocol;

/// <summary>VFIO_REGION_INFO_FLAG_* (vfio-user protocol, "VFIO_USER_DEVICE_GET_REGION_INFO").</summary>
[Flags]
internal enum RegionFlags : uint
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>May be read.</summary>
    Read = 1,

    /// <summary>May be written.</summary>
    Write = 2,

    /// <summary>May be mapped; the reply brings a descriptor.</summary>
    Map = 4,

    /// <summary>Capabilities follow.</summary>
    Capabilities = 8,
}

/// <summary>
/// What a region is, request and reply (vfio-user protocol, "VFIO_USER_DEVICE_GET_REGION_INFO"); in a request all but the first and the index are 0.
/// </summary>
/// <param name="ArgumentSize">In a request the bytes that the reply may have, in a reply those that it needs.</param>
/// <param name="Flags">What may be done with it.</param>
/// <param name="Index">Its number.</param>
/// <param name="CapabilityOffset">Where the first capability is, from the start of this structure.</param>
/// <param name="Size">Bytes of the region.</param>
/// <param name="Offset">Where the region starts in the descriptor that comes along.</param>
internal readonly record struct RegionInfo(uint ArgumentSize, RegionFlags Flags, uint Index, uint CapabilityOffset, ulong Size, ulong Offset)
{
    /// <summary>Bytes before the capabilities.</summary>
    public const int Length = 32;

    // linux/vfio.h: VFIO_REGION_INFO_CAP_SPARSE_MMAP, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE; struct vfio_info_cap_header.
    private const ushort Sparse = 1;
    private const ushort MsixMappable = 3;
    private const int CapabilityHeader = 8;
    private const int SparseHeader = 16;
    private const int AreaLength = 16;

    // A list that goes in a circle ends here.
    private const int MostCapabilities = 16;

    /// <summary>Reads the fixed part of a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out RegionInfo info)
    {
        info = default;
        if (payload.Length < Length)
        {
            return false;
        }

        info = new RegionInfo(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            (RegionFlags)BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]));
        return info.ArgumentSize >= Length;
    }

    /// <summary>Writes the fixed part.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[12..], CapabilityOffset);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Size);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[24..], Offset);
    }

    /// <summary>Bytes of a payload with a sparse capability of <paramref name="areas"/> areas.</summary>
    public static int LengthWith(int areas) => Length + SparseHeader + areas * AreaLength;

    /// <summary>Writes the sparse capability behind the fixed part ("VFIO region info cap sparse mmap").</summary>
    public static void WriteAreas(Span<byte> payload, IReadOnlyList<VfioArea> areas)
    {
        Span<byte> capability = payload[Length..];
        BinaryPrimitives.WriteUInt16LittleEndian(capability, Sparse);
        BinaryPrimitives.WriteUInt16LittleEndian(capability[2..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(capability[4..], 0);
        BinaryPrimitives.WriteUInt32LittleEndian(capability[8..], (uint)areas.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(capability[12..], 0);
        for (int i = 0; i < areas.Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(capability[(SparseHeader + i * AreaLength)..], areas[i].Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(capability[(SparseHeader + i * AreaLength + 8)..], areas[i].Size);
        }
    }

    /// <summary>
    /// Reads the capabilities of a whole payload, whatever it says: the areas of the sparse one as they are there, or null without one; and whether the pages
    /// of the MSI-X table may be mapped.
    /// </summary>
    public List<VfioArea>? ReadCapabilities(ReadOnlySpan<byte> payload, out bool msixMappable)
    {
        List<VfioArea>? areas = null;
        msixMappable = false;
        uint at = Flags.HasFlag(RegionFlags.Capabilities) ? CapabilityOffset : 0;
        for (int i = 0; i < MostCapabilities && at >= Length && at <= payload.Length - CapabilityHeader; i++)
        {
            ReadOnlySpan<byte> capability = payload[(int)at..];
            ushort id = BinaryPrimitives.ReadUInt16LittleEndian(capability);
            msixMappable |= id == MsixMappable;
            if (id == Sparse)
            {
                areas = ReadAreas(capability);
            }

            at = BinaryPrimitives.ReadUInt32LittleEndian(capability[4..]);
        }

        return areas;
    }

    // As many as there are bytes for, however many it claims.
    private static List<VfioArea> ReadAreas(ReadOnlySpan<byte> capability)
    {
        List<VfioArea> areas = [];
        if (capability.Length >= SparseHeader)
        {
            ulong claimed = BinaryPrimitives.ReadUInt32LittleEndian(capability[8..]);
            ReadOnlySpan<byte> list = capability[SparseHeader..];
            for (; claimed > 0 && list.Length >= AreaLength; claimed--, list = list[AreaLength..])
            {
                areas.Add(new VfioArea(BinaryPrimitives.ReadUInt64LittleEndian(list), BinaryPrimitives.ReadUInt64LittleEndian(list[8..])));
            }
        }

        return areas;
    }
}
