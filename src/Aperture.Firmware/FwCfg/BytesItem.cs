using System.Buffers.Binary;

namespace Aperture.Firmware.FwCfg;

/// <summary>An item whose bytes are in memory; little-endian where it is a number.</summary>
internal sealed class BytesItem(ReadOnlyMemory<byte> bytes) : IFirmwareItem
{
    public ulong Length => (ulong)bytes.Length;

    public static BytesItem U16(ushort value) => Number(value, 2);

    public static BytesItem U32(uint value) => Number(value, 4);

    public static BytesItem U64(ulong value) => Number(value, 8);

    public bool Read(ulong offset, Span<byte> destination)
    {
        bytes.Span.Slice((int)offset, destination.Length).CopyTo(destination);
        return true;
    }

    private static BytesItem Number(ulong value, int size)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return new BytesItem(bytes.AsMemory(0, size));
    }
}
