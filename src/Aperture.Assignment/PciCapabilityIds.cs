namespace Aperture.Assignment;

/// <summary>Capability ids by name (PCI Code and ID Assignment Specification 1.11, sections 2 and 3).</summary>
internal static class PciCapabilityIds
{
    public const byte PowerManagement = 0x01;
    public const byte Agp = 0x02;
    public const byte VitalProductData = 0x03;
    public const byte SlotIdentification = 0x04;
    public const byte Msi = 0x05;
    public const byte PciX = 0x07;
    public const byte VendorSpecific = 0x09;
    public const byte SubsystemIds = 0x0D;
    public const byte Express = 0x10;
    public const byte Msix = 0x11;
    public const byte Sata = 0x12;
    public const byte AdvancedFeatures = 0x13;

    /// <summary>Enhanced allocation: fixed BAR-like addresses of the host, of no use to a guest.</summary>
    public const byte EnhancedAllocation = 0x14;

    public const ushort Null = 0x0000;
    public const ushort Ari = 0x000E;
    public const ushort Ats = 0x000F;
    public const ushort SrIov = 0x0010;
    public const ushort MrIov = 0x0011;
    public const ushort PageRequest = 0x0013;
    public const ushort ResizableBar = 0x0015;
    public const ushort Pasid = 0x001B;
    public const ushort DownstreamPortContainment = 0x001D;
    public const ushort VfResizableBar = 0x0024;

    /// <summary>
    /// Extended capabilities that no guest may have: functions that this machine does not have (SR-IOV, ARI), and address translation services, which
    /// need an IOMMU that the guest drives.
    /// </summary>
    public static bool IsHidden(ushort extendedId) =>
        extendedId is Ari or Ats or SrIov or MrIov or PageRequest or Pasid or DownstreamPortContainment or VfResizableBar;
}
