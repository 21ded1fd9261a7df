using System.Buffers.Binary;
using System.Text;

namespace Aperture.Firmware.Acpi;

/// <summary>The tables that only point: RSDP (ACPI 6.5 5.2.5), XSDT (5.2.8), and the FACS (5.2.10), which the guest writes to.</summary>
internal static class RootTables
{
    public const int RsdpSize = 36;
    public const int FacsSize = 64;

    private const int RsdpOldSize = 20;

    /// <summary>Revision 2. Without an RSDT: every guest that Aperture runs reads the XSDT.</summary>
    public static byte[] Rsdp(GuestAddress xsdt)
    {
        byte[] bytes = new byte[RsdpSize];
        Encoding.ASCII.GetBytes("RSD PTR ", bytes);
        Encoding.ASCII.GetBytes(AcpiTableBuilder.OemId, bytes.AsSpan(9));
        bytes[15] = 2;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(20), RsdpSize);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(24), xsdt.Value);

        // The first checksum covers revision 0's bytes, the second all of them.
        bytes[8] = AcpiTableBuilder.Checksum(bytes.AsSpan(0, RsdpOldSize));
        bytes[32] = AcpiTableBuilder.Checksum(bytes);
        return bytes;
    }

    public static byte[] Xsdt(IEnumerable<GuestAddress> tables)
    {
        var table = new AcpiTableBuilder("XSDT", 1);
        foreach (GuestAddress address in tables)
        {
            table.U64(address.Value);
        }

        return table.Finish();
    }

    /// <summary>Version 2, no wake vector, no global lock owner. It has no checksum.</summary>
    public static byte[] Facs()
    {
        byte[] bytes = new byte[FacsSize];
        Encoding.ASCII.GetBytes("FACS", bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(4), FacsSize);
        bytes[32] = 2;
        return bytes;
    }
}
