using Aperture.Firmware.Platform;

namespace Aperture.Firmware.Acpi;

/// <summary>Where configuration space is mapped (PCI Firmware 3.3 4.1.2). The address is that of bus 0, whatever the first bus is.</summary>
internal static class Mcfg
{
    public static byte[] Build(EcamRegion ecam)
    {
        GuestAddress busZero = ecam.Range.Start - ((ulong)ecam.FirstBus << 20);
        return new AcpiTableBuilder("MCFG", 1)
            .Zeros(8)
            .U64(busZero.Value).U16(ecam.Segment).U8(ecam.FirstBus).U8(ecam.LastBus).U32(0)
            .Finish();
    }
}
