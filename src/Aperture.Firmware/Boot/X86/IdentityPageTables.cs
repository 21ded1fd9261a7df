using System.Buffers.Binary;

namespace Aperture.Firmware.Boot.X86;

/// <summary>Page tables that map guest addresses to themselves, for entering a kernel in 64-bit mode (SDM 3A 4.5). Pure.</summary>
public static class IdentityPageTables
{
    private const int PageBytes = 4096;
    private const ulong OneGiB = 1UL << 30;

    // Present, writable; accessed and dirty preset so that the processor never writes to the tables; 7 makes an entry a large page.
    private const ulong Table = 0x23;
    private const ulong LargePage = 0xE3;

    /// <summary>Bytes that the tables take for the first <paramref name="gibibytes"/> GiB (1 to 512) with 2 MiB pages, or 1 GiB pages.</summary>
    public static int Size(int gibibytes, bool gigabytePages)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(gibibytes, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(gibibytes, 512);
        return PageBytes * (2 + (gigabytePages ? 0 : gibibytes));
    }

    /// <summary>Writes the tables; the first page is the root, for CR3.</summary>
    /// <param name="destination">At least <see cref="Size"/> bytes of guest memory.</param>
    /// <param name="address">Where that memory is in the guest, page aligned.</param>
    /// <param name="gibibytes">How much to map, 1 to 512 GiB from address 0.</param>
    /// <param name="gigabytePages">Use 1 GiB pages (CPUID 0x80000001 EDX 26) instead of 2 MiB pages.</param>
    public static void Write(Span<byte> destination, GuestAddress address, int gibibytes = 4, bool gigabytePages = false)
    {
        int size = Size(gibibytes, gigabytePages);
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, size, nameof(destination));
        ArgumentOutOfRangeException.ThrowIfNotEqual(address.IsAligned(PageBytes), true, nameof(address));
        destination[..size].Clear();
        Set(destination, 0, (address + PageBytes).Value | Table);
        for (int gib = 0; gib < gibibytes; gib++)
        {
            Span<byte> pointers = destination[PageBytes..];
            if (gigabytePages)
            {
                Set(pointers, gib, ((ulong)gib * OneGiB) | LargePage);
                continue;
            }

            int directory = PageBytes * (2 + gib);
            Set(pointers, gib, (address + (ulong)directory).Value | Table);
            for (int page = 0; page < 512; page++)
            {
                Set(destination[directory..], page, ((ulong)gib * OneGiB) + ((ulong)page << 21) | LargePage);
            }
        }
    }

    private static void Set(Span<byte> table, int index, ulong entry) => BinaryPrimitives.WriteUInt64LittleEndian(table[(index * 8)..], entry);
}
