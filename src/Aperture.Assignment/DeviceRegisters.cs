namespace Aperture.Assignment;

/// <summary>Registers of a device's own capabilities, by their offset from the header, and the fields of them that are read here.</summary>
internal static class DeviceRegisters
{
    /// <summary>Power management capabilities (PCI Bus Power Management 1.2, section 3.2.3).</summary>
    public const int PowerCapabilities = 0x02;

    /// <summary>Power management control and status (section 3.2.4).</summary>
    public const int PowerControl = 0x04;

    /// <summary>In power management control: registers are kept on the way from D3hot to D0.</summary>
    public const int NoSoftReset = 1 << 3;

    /// <summary>Message control of MSI (PCI Local Bus 3.0, section 6.8.1.3).</summary>
    public const int MsiControl = 0x02;

    /// <summary>Where message control has the logarithm of the vectors asked for.</summary>
    public const int MsiVectorsShift = 1;

    /// <summary>The field at <see cref="MsiVectorsShift"/>.</summary>
    public const int MsiVectors = 7;

    /// <summary>The largest legal value of that field: 32 vectors.</summary>
    public const int MostMsiVectors = 5;

    /// <summary>In message control: the address has 64 bits.</summary>
    public const int Msi64Bit = 1 << 7;

    /// <summary>In message control: vectors can be masked one by one.</summary>
    public const int MsiMasking = 1 << 8;

    /// <summary>Message control of MSI-X (PCI Local Bus 3.0, section 6.8.2.3).</summary>
    public const int MsixControl = 0x02;

    /// <summary>Where the MSI-X table is (section 6.8.2.4).</summary>
    public const int MsixTable = 0x04;

    /// <summary>Where the MSI-X pending bits are (section 6.8.2.5).</summary>
    public const int MsixPending = 0x08;

    /// <summary>PCI Express capabilities (PCI Express 5.0, section 7.5.3.2).</summary>
    public const int ExpressCapabilities = 0x02;

    /// <summary>In PCI Express capabilities: the version.</summary>
    public const int ExpressVersion = 0xF;

    /// <summary>Length of a vendor-specific capability, 8 bits (PCI Local Bus 3.0, appendix H).</summary>
    public const int VendorSpecificLength = 0x02;
}
