namespace Aperture.Firmware.Acpi.Arm;

/// <summary>The fixed description table of a hardware-reduced machine, revision 6.3 (ACPI 6.5 5.2.9): nothing of ACPI's own hardware is there.</summary>
internal static class VirtFadt
{
    public const int Size = 276;

    private const int FlagsOffset = 112;
    private const int ArmFlagsOffset = 129;
    private const int ExtendedDsdt = 140;
    private const byte MinorRevision = 3;

    // The power button is a device of the namespace, and there is no sleep button; ACPI's registers are not there.
    private const uint NoFixedPowerButton = 1 << 4;
    private const uint NoFixedSleepButton = 1 << 5;
    private const uint HardwareReduced = 1 << 20;

    // ARM boot architecture flags (5.2.9.4): PSCI, called by HVC.
    private const ushort PsciByHvc = 3;

    /// <summary>The table of a machine whose DSDT is at <paramref name="dsdt"/>. Processors are idle and powered by PSCI alone.</summary>
    public static byte[] Build(GuestAddress dsdt)
    {
        AcpiTableBuilder table = new("FACP", 6);
        table.Zeros(FlagsOffset - AcpiTableBuilder.HeaderSize).U32(NoFixedPowerButton | NoFixedSleepButton | HardwareReduced);

        // No reset register: PSCI resets.
        table.Zeros(ArmFlagsOffset - FlagsOffset - 4).U16(PsciByHvc).U8(MinorRevision);
        table.Zeros(ExtendedDsdt - ArmFlagsOffset - 3).U64(dsdt.Value);
        return table.Zeros(Size - ExtendedDsdt - 8).Finish();
    }
}
