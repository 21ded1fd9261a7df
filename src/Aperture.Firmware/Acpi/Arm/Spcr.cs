using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi.Arm;

/// <summary>The serial console (Serial Port Console Redirection Table, 1.03), which is Linux' without an option of its own.</summary>
internal static class Spcr
{
    private const byte Revision = 2;
    private const byte Pl011 = 3;
    private const byte SystemMemory = 0;
    private const byte DWordAccess = 3;
    private const byte GicInterrupt = 1 << 3;
    private const byte Baud115200 = 7;
    private const byte OneStopBit = 1;
    private const byte Ansi = 3;
    private const ushort NoPci = 0xFFFF;

    public static byte[] Build(VirtDescription machine) => new AcpiTableBuilder("SPCR", Revision)
        .U8(Pl011).Zeros(3)
        .U8(SystemMemory).U8(32).U8(0).U8(DWordAccess).U64(machine.Uart.Range.Start.Value)
        .U8(GicInterrupt).U8(0).U32(Gsiv.OfSpi(machine.Uart.Spi))
        .U8(Baud115200).U8(0).U8(OneStopBit).U8(0).U8(Ansi).U8(0)
        .U16(NoPci).U16(NoPci).U8(0).U8(0).U8(0).U32(0).U8(0).U32(0)
        .Finish();
}
