namespace Aperture.Pci;

/// <summary>Who a function says it is.</summary>
/// <param name="Vendor">Vendor id.</param>
/// <param name="Device">Device id.</param>
/// <param name="ClassCode">24 bits: base class, subclass, programming interface.</param>
/// <param name="Revision">Revision id.</param>
/// <param name="SubsystemVendor">Subsystem vendor id; 0 when there is none.</param>
/// <param name="Subsystem">Subsystem id.</param>
public readonly record struct PciIdentity(
    ushort Vendor, ushort Device, uint ClassCode, byte Revision = 0, ushort SubsystemVendor = 0, ushort Subsystem = 0)
{
    /// <summary>The class code of a PCI-to-PCI bridge, ordinary decode.</summary>
    public const uint BridgeClass = 0x060400;

    /// <summary>The base class of display controllers.</summary>
    public const uint DisplayClass = 0x03;
}
