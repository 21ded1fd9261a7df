namespace Aperture.Firmware.Acpi.Arm;

/// <summary>The processors' timers (ACPI 6.5 5.2.25), which are system registers: there is no counter in memory.</summary>
internal static class Gtdt
{
    // Level triggered, active high; the timer goes on in every idle state.
    private const uint AlwaysOn = 1 << 2;

    public static byte[] Build() => new AcpiTableBuilder("GTDT", 3)
        .U64(ulong.MaxValue).U32(0)
        .U32(Gsiv.SecureTimer).U32(AlwaysOn)
        .U32(Gsiv.PhysicalTimer).U32(AlwaysOn)
        .U32(Gsiv.VirtualTimer).U32(AlwaysOn)
        .U32(Gsiv.HypervisorTimer).U32(AlwaysOn)
        .U64(ulong.MaxValue)

        // No timers of the platform, no virtual timer of EL2.
        .U32(0).U32(0).U32(0).U32(0)
        .Finish();
}
