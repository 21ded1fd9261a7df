using System.Buffers.Binary;
using Aperture.Firmware.Acpi;
using Aperture.Firmware.Platform;

namespace Aperture.Firmware.FwCfg;

/// <summary>
/// The ACPI tables of direct boot, taken apart for firmware that places them itself: every pointer holds an offset, every checksum that covers
/// one is 0, and a script says how to make them whole.
/// </summary>
/// <param name="Tables">XSDT to DSDT, each at a multiple of 64.</param>
/// <param name="RootPointer">The RSDP.</param>
/// <param name="Script">What firmware does with both.</param>
internal sealed record RelocatableAcpi(byte[] Tables, byte[] RootPointer, byte[] Script)
{
    public const string TablesFile = "etc/acpi/tables";
    public const string RootPointerFile = "etc/acpi/rsdp";
    public const string ScriptFile = "etc/table-loader";

    private const int HeaderChecksum = 9;

    // RSDP: ACPI 6.5 5.2.5.3. FADT: 5.2.9.
    private const int RsdpXsdt = 24;
    private const int RsdpChecksum = 8;
    private const int RsdpChecksummed = 20;
    private const int RsdpExtendedChecksum = 32;
    private static readonly (int Offset, byte Size)[] FadtPointers = [(36, 4), (40, 4), (132, 8), (140, 8)];

    public static RelocatableAcpi Build(PlatformDescription platform)
    {
        AcpiTableSet set = AcpiTables.Build(platform, GuestAddress.Zero);
        AcpiTable root = set.Tables.Single(static table => table.Signature == "RSD PTR ");
        List<AcpiTable> others = [.. set.Tables.Where(static table => table.Signature != "RSD PTR ")];
        GuestAddress start = others[0].Address;
        byte[] blob = new byte[set.Area.Last + 1 - start];
        foreach (AcpiTable table in others)
        {
            table.Bytes.CopyTo(blob.AsMemory((int)(table.Address - start)));
        }

        var script = new TableLoaderScript();
        script.Allocate(RootPointerFile, 16, LoaderZone.FSegment);
        script.Allocate(TablesFile, AcpiTables.Alignment, LoaderZone.High);
        foreach (AcpiTable table in others)
        {
            int at = (int)(table.Address - start);
            foreach ((int offset, byte size) in Pointers(table))
            {
                ToOffset(blob.AsSpan(at + offset, size), start);
                script.AddPointer(TablesFile, TablesFile, (uint)(at + offset), size);
            }

            if (table.Signature != "FACS")
            {
                blob[at + HeaderChecksum] = 0;
                script.AddChecksum(TablesFile, (uint)(at + HeaderChecksum), (uint)at, (uint)table.Bytes.Length);
            }
        }

        byte[] rsdp = root.Bytes.ToArray();
        ToOffset(rsdp.AsSpan(RsdpXsdt, 8), start);
        rsdp[RsdpChecksum] = 0;
        rsdp[RsdpExtendedChecksum] = 0;
        script.AddPointer(RootPointerFile, TablesFile, RsdpXsdt, 8);
        script.AddChecksum(RootPointerFile, RsdpChecksum, 0, RsdpChecksummed);
        script.AddChecksum(RootPointerFile, RsdpExtendedChecksum, 0, RootTables.RsdpSize);
        return new RelocatableAcpi(blob, rsdp, script.ToArray());
    }

    private static IEnumerable<(int Offset, byte Size)> Pointers(AcpiTable table) => table.Signature switch
    {
        "FACP" => FadtPointers,
        "XSDT" => Enumerable.Range(0, (table.Bytes.Length - AcpiTableBuilder.HeaderSize) / 8)
            .Select(static entry => (AcpiTableBuilder.HeaderSize + (8 * entry), (byte)8)),
        _ => [],
    };

    private static void ToOffset(Span<byte> pointer, GuestAddress start)
    {
        if (pointer.Length == 4)
        {
            uint value = BinaryPrimitives.ReadUInt32LittleEndian(pointer);
            BinaryPrimitives.WriteUInt32LittleEndian(pointer, value - (uint)start.Value);
        }
        else
        {
            ulong value = BinaryPrimitives.ReadUInt64LittleEndian(pointer);
            BinaryPrimitives.WriteUInt64LittleEndian(pointer, value - start.Value);
        }
    }
}
