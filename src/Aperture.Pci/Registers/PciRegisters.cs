namespace Aperture.Pci.Registers;

/// <summary>Offsets in bytes of the configuration header's registers (PCI Local Bus 3.0, section 6.1; PCI-to-PCI Bridge 1.2, section 3.2).</summary>
public static class PciRegisters
{
    /// <summary>Vendor id, 16 bits; device id at +2.</summary>
    public const int VendorId = 0x00;

    /// <summary>Command, 16 bits: <see cref="PciCommand"/>.</summary>
    public const int Command = 0x04;

    /// <summary>Status, 16 bits: <see cref="PciStatus"/>.</summary>
    public const int Status = 0x06;

    /// <summary>Revision id, 8 bits; class code in the three bytes above.</summary>
    public const int Revision = 0x08;

    /// <summary>Cache line size, 8 bits.</summary>
    public const int CacheLineSize = 0x0C;

    /// <summary>Header type, 8 bits; bit 7 is the multi-function bit.</summary>
    public const int HeaderType = 0x0E;

    /// <summary>BAR 0; the others follow every 4 bytes.</summary>
    public const int Bar0 = 0x10;

    /// <summary>Subsystem vendor id, 16 bits; subsystem id at +2 (type 0).</summary>
    public const int SubsystemVendorId = 0x2C;

    /// <summary>Expansion ROM base address (type 0).</summary>
    public const int RomType0 = 0x30;

    /// <summary>Capabilities pointer, 8 bits.</summary>
    public const int CapabilitiesPointer = 0x34;

    /// <summary>Expansion ROM base address (type 1).</summary>
    public const int RomType1 = 0x38;

    /// <summary>Interrupt line, 8 bits; interrupt pin at +1.</summary>
    public const int InterruptLine = 0x3C;

    /// <summary>Primary bus number, 8 bits; secondary at +1, subordinate at +2 (type 1).</summary>
    public const int PrimaryBus = 0x18;

    /// <summary>I/O base, 8 bits; I/O limit at +1; secondary status, 16 bits, at +2 (type 1).</summary>
    public const int IoBase = 0x1C;

    /// <summary>Memory base, 16 bits; memory limit at +2 (type 1).</summary>
    public const int MemoryBase = 0x20;

    /// <summary>Prefetchable base, 16 bits; limit at +2 (type 1).</summary>
    public const int PrefetchableBase = 0x24;

    /// <summary>Prefetchable base, upper 32 bits (type 1).</summary>
    public const int PrefetchableBaseUpper = 0x28;

    /// <summary>Prefetchable limit, upper 32 bits (type 1).</summary>
    public const int PrefetchableLimitUpper = 0x2C;

    /// <summary>Bridge control, 16 bits (type 1).</summary>
    public const int BridgeControl = 0x3E;

    /// <summary>First byte after the header: where standard capabilities may start.</summary>
    public const int FirstCapability = 0x40;

    /// <summary>Where the extended capability list starts.</summary>
    public const int FirstExtendedCapability = 0x100;
}
