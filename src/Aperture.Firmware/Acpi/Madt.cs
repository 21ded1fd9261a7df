using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

/// <summary>The interrupt controllers (ACPI 6.5 5.2.12).</summary>
internal static class Madt
{
    /// <summary>The largest id an 8-bit local APIC entry can say; 255 means every processor.</summary>
    public const uint LargestApicId = 254;

    // Of ACPI 6.3, as the FADT is. Its "online capable" flag of a local APIC (table 5.47, bit 1) stays clear: every processor is enabled.
    private const byte Revision = 5;

    private const byte AllProcessors = 0xFF;

    public static byte[] Build(PlatformDescription platform)
    {
        var table = new AcpiTableBuilder("APIC", Revision);

        // PCAT_COMPAT: there is a pair of 8259 interrupt controllers too.
        table.U32((uint)platform.LocalApic.Value).U32(1);
        for (int i = 0; i < platform.ApicIds.Count; i++)
        {
            // Type 0, enabled.
            table.U8(0).U8(8).U8((byte)i).U8((byte)platform.ApicIds[i]).U32(1);
        }

        table.U8(1).U8(12).U8(platform.IoApic.Id).U8(0).U32((uint)platform.IoApic.Address.Value).U32(platform.IoApic.GsiBase);
        foreach (IsaInterruptOverride isa in platform.IsaOverrides)
        {
            table.U8(2).U8(10).U8(0).U8(isa.IsaIrq).U32(isa.Gsi).U16(InterruptFlags(isa));
        }

        // LINT1 is the non-maskable interrupt on every processor.
        table.U8(4).U8(6).U8(AllProcessors).U16(0).U8(1);
        return table.Finish();
    }

    /// <summary>MPS INTI flags (5.2.12.5): polarity 1:0 high = 1, low = 3; trigger 3:2 edge = 1, level = 3; 0 as the bus has it.</summary>
    private static ushort InterruptFlags(IsaInterruptOverride isa) => isa is { LevelTriggered: false, ActiveLow: false }
        ? (ushort)0
        : (ushort)((isa.ActiveLow ? 3 : 1) | (isa.LevelTriggered ? 3 : 1) << 2);
}
