using System.Buffers.Binary;

namespace Aperture.Firmware;

/// <summary>The processor's tables at entry: segment descriptors and the identity map (Intel SDM volume 3, 3.4.5 and 4.5).</summary>
internal static class BootTables
{
    // Linux's boot protocol fixes these two (boot.rst, "64-bit Boot Protocol": __BOOT_CS, __BOOT_DS); PVH leaves the choice.
    public const ushort CodeSelector = 0x10;
    public const ushort DataSelector = 0x18;
    public const ushort TaskSelector = 0x20;

    /// <summary>Five places, the last two for a 64-bit task state descriptor.</summary>
    public const int GdtSize = 6 * 8;

    public const int PageTablesSize = (2 + Directories) * 4096;

    private const int Directories = 4;
    private const ulong LargePage = 0x20_0000;

    // Flat 4 GiB segments. Type bytes have the accessed bit set, so that the processor need not write to the table.
    private const ulong Code64 = 0x00AF_9B00_0000_FFFF;
    private const ulong Code32 = 0x00CF_9B00_0000_FFFF;
    private const ulong Data = 0x00CF_9300_0000_FFFF;

    /// <summary>A busy task state segment at 0, limit 0x67.</summary>
    private const ulong Task = 0x0000_8B00_0000_0067;

    // Present, writable, accessed, dirty, and in a directory: page size.
    private const ulong Table = 0x23;
    private const ulong Page = 0xE3;

    public static byte[] Gdt(bool longMode)
    {
        byte[] table = new byte[GdtSize];
        Put(table, CodeSelector / 8, longMode ? Code64 : Code32);
        Put(table, DataSelector / 8, Data);
        Put(table, TaskSelector / 8, Task);
        return table;
    }

    /// <summary>Maps the first 4 GiB one to one in 2 MiB pages: PML4, one pointer table, four directories, in this order.</summary>
    public static byte[] PageTables(GuestAddress at)
    {
        byte[] tables = new byte[PageTablesSize];
        Put(tables, 0, (at.Value + 4096) | Table);
        for (int directory = 0; directory < Directories; directory++)
        {
            Put(tables, 512 + directory, (at.Value + (ulong)(2 + directory) * 4096) | Table);
            for (int entry = 0; entry < 512; entry++)
            {
                int page = directory * 512 + entry;
                Put(tables, 1024 + page, (ulong)page * LargePage | Page);
            }
        }

        return tables;
    }

    private static void Put(byte[] table, int index, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan(index * 8), value);
}
