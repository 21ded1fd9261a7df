using System.Buffers.Binary;

namespace Aperture.VfioUser.Protocol;

/// <summary>How a sub-region tells the server of an access without a message (vfio-user protocol, "VFIO_USER_DEVICE_GET_REGION_IO_FDS").</summary>
internal enum RegionIoType : uint
{
    /// <summary>VFIO_USER_IO_FD_TYPE_IOEVENTFD.</summary>
    IoEventFd = 0,

    /// <summary>VFIO_USER_IO_FD_TYPE_IOREGIONFD.</summary>
    IoRegionFd = 1,
}

/// <summary>Which sub-regions have descriptors, request and start of the reply (vfio-user protocol, "VFIO_USER_DEVICE_GET_REGION_IO_FDS").</summary>
/// <param name="ArgumentSize">In a request the bytes that the reply may have, in a reply those that it needs.</param>
/// <param name="Flags">0.</param>
/// <param name="Index">The region.</param>
/// <param name="Count">In a reply, how many sub-regions follow.</param>
internal readonly record struct RegionIoInfo(uint ArgumentSize, uint Flags, uint Index, uint Count)
{
    /// <summary>Bytes before the sub-regions.</summary>
    public const int Length = 16;

    /// <summary>Reads the fixed part of a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out RegionIoInfo info)
    {
        info = default;
        if (payload.Length < Length)
        {
            return false;
        }

        info = new RegionIoInfo(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]));
        return info.ArgumentSize >= Length;
    }

    /// <summary>Writes the fixed part.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[8..], Index);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[12..], Count);
    }
}

/// <summary>One sub-region of the reply ("Sub-Region IO FD info format"; both formats have the same shape).</summary>
/// <param name="Offset">Bytes from the region's start.</param>
/// <param name="Size">Bytes; 0 when any width tells.</param>
/// <param name="DescriptorIndex">Which of the message's descriptors.</param>
/// <param name="Type">How it tells.</param>
/// <param name="Flags">KVM's flags of that kind.</param>
/// <param name="Datum">The value that a write must have (datamatch), or what the server finds in its message (user_data).</param>
internal readonly record struct RegionIoEntry(ulong Offset, ulong Size, uint DescriptorIndex, RegionIoType Type, uint Flags, ulong Datum)
{
    /// <summary>Bytes of an entry.</summary>
    public const int Length = 40;

    /// <summary>Reads an entry from at least <see cref="Length"/> bytes.</summary>
    public static RegionIoEntry Read(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[16..]),
        (RegionIoType)BinaryPrimitives.ReadUInt32LittleEndian(bytes[20..]),
        BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]),
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]));

    /// <summary>Writes the entry's <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], Size);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[16..], DescriptorIndex);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[20..], (uint)Type);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[24..], Flags);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[28..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[32..], Datum);
    }
}
