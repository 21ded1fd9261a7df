using System.Buffers.Binary;
using System.Numerics;

namespace Aperture.Devices.Flash;

/// <summary>What a flash chip answers to the query command (JEDEC JESD68, "CFI Query Identification String" and what follows it).</summary>
internal static class PflashQuery
{
    /// <summary>Bytes from offset 0; behind them the query reads 0.</summary>
    public const int Size = 0x40;

    private const int ExtendedTable = 0x31;

    public static byte[] Build(ulong size, int blockSize, int bufferSize)
    {
        byte[] table = new byte[Size];
        "QRY"u8.CopyTo(table.AsSpan(0x10));
        BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(0x13), 1); // Intel's command set
        BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(0x15), ExtendedTable);

        // Supply 4.5 V to 5.5 V; times as powers of two: program 2^7 us, buffer 2^7 us, erase 2^10 ms; at most 2^4 times longer.
        table[0x1B] = 0x45;
        table[0x1C] = 0x55;
        table[0x1F] = 7;
        table[0x20] = 7;
        table[0x21] = 10;
        table[0x23] = 4;
        table[0x24] = 4;
        table[0x25] = 4;

        // Sizes as powers of two: the chip (rounded up), x8/x16, the buffer. One region of equal blocks.
        table[0x27] = (byte)BitOperations.Log2(BitOperations.RoundUpToPowerOf2(size));
        table[0x28] = 2;
        table[0x2A] = (byte)BitOperations.Log2((uint)bufferSize);
        table[0x2C] = 1;
        BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(0x2D), (ushort)(size / (ulong)blockSize - 1));
        BinaryPrimitives.WriteUInt16LittleEndian(table.AsSpan(0x2F), (ushort)(blockSize / 256));

        // Intel's extended table, version 1.0: no optional command.
        "PRI10"u8.CopyTo(table.AsSpan(ExtendedTable));
        return table;
    }
}
