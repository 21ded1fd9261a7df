namespace Aperture.Firmware.Platform;

/// <summary>The enhanced configuration window as the chipset decodes it (PCI Express 5.0 7.2.2): 1 MiB per bus.</summary>
/// <param name="Range">The addresses of the buses <paramref name="FirstBus"/> to <paramref name="LastBus"/>.</param>
/// <param name="Segment">PCI segment group.</param>
/// <param name="FirstBus">The bus at the start of <paramref name="Range"/>.</param>
/// <param name="LastBus">The last bus inside.</param>
public sealed record EcamRegion(AddressRange Range, ushort Segment, byte FirstBus, byte LastBus);
