using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi.Arm;

/// <summary>The interrupt controller and the processors (ACPI 6.5 5.2.12.14 to 5.2.12.18).</summary>
internal static class VirtMadt
{
    // Of ACPI 6.3, as the FADT is.
    private const byte Revision = 5;
    private const byte CpuInterface = 0x0B;
    private const byte Distributor = 0x0C;
    private const byte Redistributor = 0x0E;
    private const byte Its = 0x0F;
    private const byte Version3 = 3;

    public static byte[] Build(VirtDescription machine)
    {
        AcpiTableBuilder table = new("APIC", Revision);

        // No local interrupt controller address, no flags.
        table.Zeros(8);
        for (int i = 0; i < machine.Affinities.Count; i++)
        {
            // Enabled; PSCI starts it, so no parking protocol. Its interface is in system registers, and its redistributor in a range below.
            table.U8(CpuInterface).U8(80).U16(0).U32((uint)i).U32((uint)i).U32(1).U32(0);
            table.U32(machine.HasPmu ? Gsiv.PerformanceMonitors : 0).U64(0).U64(0).U64(0).U64(0).U32(0).U64(0).U64(machine.Affinities[i]);
            table.U8(0).U8(0).U16(0);
        }

        table.U8(Distributor).U8(24).U16(0).U32(0).U64(machine.Gic.Distributor.Start.Value).U32(0).U8(Version3).Zeros(3);
        foreach (AddressRange run in machine.Gic.Redistributors)
        {
            table.U8(Redistributor).U8(16).U16(0).U64(run.Start.Value).U32((uint)run.Size);
        }

        if (machine.Gic.Its is { } its)
        {
            table.U8(Its).U8(20).U16(0).U32(Iort.ItsIdentifier).U64(its.Start.Value).U32(0);
        }

        return table.Finish();
    }
}
