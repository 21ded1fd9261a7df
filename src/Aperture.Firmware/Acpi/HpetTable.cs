using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

/// <summary>Where the event timers are (IA-PC HPET Specification 1.0a 3.2.4), without which no guest looks for them.</summary>
internal static class HpetTable
{
    // A system memory register (ACPI 6.5 5.2.3.2) of 64 bits.
    private const byte SystemMemory = 0;
    private const byte RegisterBits = 64;

    public static byte[] Build(HpetDescription hpet) => new AcpiTableBuilder("HPET", 1)
        .U32(hpet.BlockId)
        .U8(SystemMemory).U8(RegisterBits).U8(0).U8(0).U64(hpet.Range.Start.Value)
        .U8(0)
        .U16(hpet.ShortestPeriod)
        .U8(0)
        .Finish();
}
