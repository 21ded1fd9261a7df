namespace Aperture.Pci.Ports;

/// <summary>A link's speed and width as the PCI Express registers encode them (PCI Express 5.0, section 7.5.3.6).</summary>
/// <param name="Speed">1 = 2.5, 2 = 5, 3 = 8, 4 = 16, 5 = 32 GT/s.</param>
/// <param name="Width">Lanes: 1, 2, 4, 8, 16 or 32.</param>
public readonly record struct PcieLink(byte Speed, byte Width)
{
    /// <summary>16 GT/s on 16 lanes: what our ports and endpoints report alike, so that no guest sees a bottleneck.</summary>
    public static PcieLink Default => new(4, 16);
}
