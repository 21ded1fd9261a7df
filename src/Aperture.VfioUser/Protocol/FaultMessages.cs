using System.Buffers.Binary;
using Aperture.Assignment;

namespace Aperture.VfioUser.Protocol;

/// <summary>A touch of a page that the client has nothing behind (docs/vfio-user.md, "FAULT").</summary>
/// <param name="Region">Number of the region.</param>
/// <param name="IsWrite">It is known to be a write.</param>
/// <param name="Offset">Of the page, from the region's start.</param>
/// <param name="Generation">The newest revocation that the client has acknowledged.</param>
internal readonly record struct FaultRequest(uint Region, bool IsWrite, ulong Offset, ulong Generation)
{
    /// <summary>Bytes of the payload.</summary>
    public const int Length = 32;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out FaultRequest request)
    {
        request = default;
        if (payload.Length != Length)
        {
            return false;
        }

        request = new FaultRequest(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            (BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]) & 1) != 0,
            BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]));
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> payload)
    {
        payload[..Length].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(payload, Region);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], IsWrite ? 1u : 0);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Generation);
    }
}

/// <summary>The answer to a fault (docs/vfio-user.md, "FAULT"). Fields of a grant are 0 in other answers, but for the offset.</summary>
/// <param name="Region">Number of the region.</param>
/// <param name="Answer">0 refused, 1 trap, 2 grant.</param>
/// <param name="Offset">Of the first page.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Source">The memory object's number.</param>
/// <param name="SourceOffset">Of the first page in it.</param>
/// <param name="Protection">1 read, 2 write.</param>
/// <param name="Generation">Of the server's books.</param>
internal readonly record struct FaultReply(
    uint Region, uint Answer, ulong Offset, ulong Size, ulong Source, ulong SourceOffset, uint Protection, ulong Generation)
{
    /// <summary>Bytes of the payload.</summary>
    public const int Length = 64;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out FaultReply reply)
    {
        reply = default;
        if (payload.Length != Length)
        {
            return false;
        }

        reply = new FaultReply(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[4..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[32..]),
            BinaryPrimitives.ReadUInt32LittleEndian(payload[40..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[48..]));
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> payload)
    {
        payload[..Length].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(payload, Region);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[4..], Answer);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Size);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[24..], Source);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[32..], SourceOffset);
        BinaryPrimitives.WriteUInt32LittleEndian(payload[40..], Protection);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[48..], Generation);
    }
}

/// <summary>Pages that the server takes back, and the client's acknowledgement (docs/vfio-user.md, "REVOKE").</summary>
/// <param name="Region">Number of the region.</param>
/// <param name="Offset">Of the first page.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Generation">Of the server's books, once they are taken back.</param>
internal readonly record struct RevokeMessage(uint Region, ulong Offset, ulong Size, ulong Generation)
{
    /// <summary>Bytes of the payload.</summary>
    public const int Length = 32;

    /// <summary>Reads a payload; false when it is none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> payload, out RevokeMessage message)
    {
        message = default;
        if (payload.Length != Length)
        {
            return false;
        }

        message = new RevokeMessage(
            BinaryPrimitives.ReadUInt32LittleEndian(payload),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[8..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[16..]),
            BinaryPrimitives.ReadUInt64LittleEndian(payload[24..]));
        return true;
    }

    /// <summary>Writes the payload.</summary>
    public void Write(Span<byte> payload)
    {
        payload[..Length].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(payload, Region);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[8..], Offset);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[16..], Size);
        BinaryPrimitives.WriteUInt64LittleEndian(payload[24..], Generation);
    }
}

/// <summary>The capability of a region that says where faults are answered (docs/vfio-user.md, "Negotiation").</summary>
internal static class FaultAreas
{
    /// <summary>The capability's id.</summary>
    public const ushort Id = 0x4101;

    private const int Header = 16;
    private const int Entry = 16;
    private const int CapabilityHeader = 8;
    private const int MostCapabilities = 16;

    /// <summary>Bytes of the capability.</summary>
    public static int LengthOf(int areas) => Header + (areas * Entry);

    /// <summary>Writes the capability, the last of its chain, at <paramref name="at"/> of a payload.</summary>
    public static void Write(Span<byte> payload, int at, IReadOnlyList<VfioArea> areas)
    {
        Span<byte> capability = payload.Slice(at, LengthOf(areas.Count));
        capability.Clear();
        BinaryPrimitives.WriteUInt16LittleEndian(capability, Id);
        BinaryPrimitives.WriteUInt16LittleEndian(capability[2..], 1);
        BinaryPrimitives.WriteUInt32LittleEndian(capability[8..], (uint)areas.Count);
        for (int i = 0; i < areas.Count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(capability[(Header + (i * Entry))..], areas[i].Offset);
            BinaryPrimitives.WriteUInt64LittleEndian(capability[(Header + (i * Entry) + 8)..], areas[i].Size);
        }
    }

    /// <summary>Reads it, whatever a payload says; empty when it has none. As many areas as there are bytes for.</summary>
    public static List<VfioArea> Read(RegionInfo info, ReadOnlySpan<byte> payload)
    {
        List<VfioArea> areas = [];
        uint at = info.Flags.HasFlag(RegionFlags.Capabilities) ? info.CapabilityOffset : 0;
        for (int i = 0; i < MostCapabilities && at >= RegionInfo.Length && at <= payload.Length - CapabilityHeader; i++)
        {
            ReadOnlySpan<byte> capability = payload[(int)at..];
            if (BinaryPrimitives.ReadUInt16LittleEndian(capability) == Id && capability.Length >= Header)
            {
                ulong claimed = BinaryPrimitives.ReadUInt32LittleEndian(capability[8..]);
                for (ReadOnlySpan<byte> list = capability[Header..]; claimed > 0 && list.Length >= Entry; claimed--, list = list[Entry..])
                {
                    areas.Add(new VfioArea(BinaryPrimitives.ReadUInt64LittleEndian(list), BinaryPrimitives.ReadUInt64LittleEndian(list[8..])));
                }

                return areas;
            }

            at = BinaryPrimitives.ReadUInt32LittleEndian(capability[4..]);
        }

        return areas;
    }
}
