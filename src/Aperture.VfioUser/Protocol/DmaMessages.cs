using System.Buffers.Binary;

namespace Aperture.VfioUser.Protocol;

/// <summary>What a server may do in a DMA mapping (vfio-user protocol, "VFIO_USER_DMA_MAP", flags).</summary>
[Flags]
internal enum DmaMapFlags : uint
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>Read.</summary>
    Readable = 1,

    /// <summary>Write.</summary>
    Writable = 2,
}

/// <summary>A run of the client's memory that the server may use from now on (vfio-user protocol, "VFIO_USER_DMA_MAP"). Its reply has no payload.</summary>
/// <param name="ArgumentSize">Bytes of this structure.</param>
/// <param name="Flags">What the server may do.</param>
/// <param name="Offset">Where the memory starts in the descriptor that comes along; 0 without one.</param>
/// <param name="Address">Where it is for the device.</param>
/// <param name="Size">Bytes.</param>
internal readonly record struct DmaMapRequest(uint ArgumentSize, DmaMapFlags Flags, ulong Offset, GuestAddress Address, ulong Size)
{
    /// <summary>Bytes of the payload.</summary>
    public const int Length = 32;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out DmaMapRequest request)
    {
        request = default;
        if (payload.Length != Length)
        {
            return false;
        }

        request = new DmaMapRequest(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            (DmaMapFlags)BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            new GuestAddress(BinaryPrimitives.ReadUInt64LittleEndian(payload[16..])),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]));
        return request.ArgumentSize >= Length;
    }

    /// <summary>Writes the payload's <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], (uint)Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Address.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[24..], Size);
    }
}

/// <summary>A mapping that the server may not use any more (vfio-user protocol, "VFIO_USER_DMA_UNMAP"); the reply repeats it.</summary>
/// <param name="ArgumentSize">Bytes that the reply may have.</param>
/// <param name="Flags">0, or <see cref="All"/>.</param>
/// <param name="Address">Where it is for the device.</param>
/// <param name="Size">Bytes.</param>
internal readonly record struct DmaUnmapMessage(uint ArgumentSize, uint Flags, GuestAddress Address, ulong Size)
{
    /// <summary>Bytes of the payload.</summary>
    public const int Length = 24;

    /// <summary>Every mapping; address and size are 0 then (VFIO_DMA_UNMAP_FLAG_ALL of linux/vfio.h, which QEMU sends).</summary>
    public const uint All = 2;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out DmaUnmapMessage message)
    {
        message = default;
        if (payload.Length != Length)
        {
            return false;
        }

        message = new DmaUnmapMessage(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            new GuestAddress(BinaryPrimitives.ReadUInt64LittleEndian(payload[8..])),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]));
        return message.ArgumentSize >= Length;
    }

    /// <summary>Writes the payload's <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(payload, ArgumentSize);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Address.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Size);
    }
}

/// <summary>
/// An access of the server to the client's memory over the socket, and the start of its reply (vfio-user protocol, "VFIO_USER_DMA_READ",
/// "VFIO_USER_DMA_WRITE"). Data follow in a read's reply and in a write's request.
/// </summary>
/// <param name="Address">Where, for the device.</param>
/// <param name="Count">Bytes.</param>
internal readonly record struct DmaAccess(GuestAddress Address, ulong Count)
{
    /// <summary>Bytes before the data.</summary>
    public const int Length = 16;

    /// <summary>
    /// Bytes of a write's reply in the document's own table, where the count has 4 bytes. Its text says that request and reply have the same, and what others
    /// send has 8, so both are understood.
    /// </summary>
    public const int ShortLength = 12;

    /// <summary>Reads the start of a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out DmaAccess access)
    {
        access = default;
        if (payload.Length < Length)
        {
            return false;
        }

        access = new DmaAccess(new GuestAddress(BinaryPrimitives.ReadUInt64LittleEndian(payload)), BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]));
        return true;
    }

    /// <summary>Reads the reply to a write.</summary>
    public static bool TryReadWritten(ReadOnlySpan<byte> payload, out DmaAccess access)
    {
        access = default;
        if (payload.Length is not (Length or ShortLength))
        {
            return false;
        }

        ulong count = payload.Length == Length
            ? BinaryPrimitives.ReadUInt64LittleEndian(payload[8..])
            : BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]);
        access = new DmaAccess(new GuestAddress(BinaryPrimitives.ReadUInt64LittleEndian(payload)), count);
        return true;
    }

    /// <summary>Writes the first <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(payload, Address.Value);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Count);
    }
}
