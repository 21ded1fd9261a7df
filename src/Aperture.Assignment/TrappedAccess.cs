using System.Buffers.Binary;

namespace Aperture.Assignment;

/// <summary>
/// Carries trapped accesses to a region of the device: whole when naturally aligned, else in aligned pieces. A failing read is all-ones. Allocates nothing.
/// </summary>
internal sealed class TrappedAccess(int region, ulong start, PhysicalConfig physical, IntxDelivery intx) : IAccessHandler
{
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        bytes.Fill(0xFF);
        for (int at = 0; at < size && !physical.IsGone;)
        {
            int piece = Piece(offset + (ulong)at, size - at);
            physical.ReadRegion(region, start + offset + (ulong)at, bytes.Slice(at, piece));
            at += piece;
        }

        value = BinaryPrimitives.ReadUInt64LittleEndian(bytes) & AccessWidth.AllOnes(size);
        intx.Touched();
        return AccessResult.Ok;
    }

    public AccessResult Write(ulong offset, int size, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        for (int at = 0; at < size && !physical.IsGone;)
        {
            int piece = Piece(offset + (ulong)at, size - at);
            physical.WriteRegion(region, start + offset + (ulong)at, bytes.Slice(at, piece));
            at += piece;
        }

        intx.Touched();
        return AccessResult.Ok;
    }

    private int Piece(ulong offset, int left)
    {
        int piece = 8;
        while (piece > left || (start + offset & (ulong)(piece - 1)) != 0)
        {
            piece >>= 1;
        }

        return piece;
    }
}
