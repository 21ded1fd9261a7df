using System.Buffers.Binary;

namespace Aperture.VfioUser.Protocol;

/// <summary>
/// An access to a region and the start of its reply (vfio-user protocol, "VFIO_USER_REGION_READ", "VFIO_USER_REGION_WRITE"). Data follow in a read's reply and
/// in a write's request.
/// </summary>
/// <param name="Offset">Bytes from the region's start.</param>
/// <param name="Region">The region.</param>
/// <param name="Count">Bytes.</param>
internal readonly record struct RegionAccess(ulong Offset, uint Region, uint Count)
{
    /// <summary>Bytes before the data.</summary>
    public const int Length = 16;

    /// <summary>Reads the start of a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out RegionAccess access)
    {
        access = default;
        if (payload.Length < Length)
        {
            return false;
        }

        access = new RegionAccess(
            BinaryPrimitives.ReadUInt64LittleEndian(payload),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[12..]));
        return true;
    }

    /// <summary>Writes the first <see cref="Length"/> bytes.</summary>
    public void Write(Span<byte> payload)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(payload, Offset);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[8..], Region);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[12..], Count);
    }
}

/// <summary>
/// One of the writes of VFIO_USER_REGION_WRITE_MULTI ("Single Device Write Format"). The message starts with their number in 8 bytes; its reply is the number
/// of those that were carried out.
/// </summary>
internal static class RegionWriteMulti
{
    /// <summary>Bytes of the number of writes.</summary>
    public const int CountLength = 8;

    /// <summary>Bytes of one write: a <see cref="RegionAccess"/> and 8 bytes, of which the first are its data.</summary>
    public const int EntryLength = RegionAccess.Length + MostData;

    /// <summary>The most bytes that one write has.</summary>
    public const int MostData = 8;

    /// <summary>Reads how many writes a payload has; false when it has not exactly as many.</summary>
    public static bool TryReadCount(ReadOnlySpan<byte> payload, out int count)
    {
        count = 0;
        if (payload.Length < CountLength)
        {
            return false;
        }

        int there = (payload.Length - CountLength) / EntryLength;
        if (BinaryPrimitives.ReadUInt64LittleEndian(payload) != (ulong)there || payload.Length != CountLength + there * EntryLength)
        {
            return false;
        }

        count = there;
        return true;
    }

    /// <summary>One of the writes; false when it has more than <see cref="MostData"/> bytes.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, int index, out RegionAccess access, out ReadOnlySpan<byte> data)
    {
        ReadOnlySpan<byte> entry = payload.Slice(CountLength + index * EntryLength, EntryLength);
        bool good = RegionAccess.TryRead(entry, out access) && access.Count <= MostData;
        data = good ? entry.Slice(RegionAccess.Length, (int)access.Count) : default;
        return good;
    }
}
