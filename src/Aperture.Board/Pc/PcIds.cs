namespace Aperture.Board.Pc;

/// <summary>The vendor and device ids of the chipsets' functions, as the datasheets that these follow give them, and their class codes.</summary>
internal static class PcIds
{
    /// <summary>Intel.</summary>
    public const ushort IntelVendor = 0x8086;

    /// <summary>Q35's memory controller hub (Intel 3 Series datasheet, section 5.1.2).</summary>
    public const ushort MemoryControllerHub = 0x29C0;

    /// <summary>ICH9's LPC bridge (Intel ICH9 datasheet, section 13.1).</summary>
    public const ushort Ich9LpcBridge = 0x2918;

    /// <summary>The 440FX (Intel 440FX PCIset datasheet, section 3.2).</summary>
    public const ushort I440fx = 0x1237;

    /// <summary>PIIX3's ISA bridge (Intel 82371SB datasheet, section 2.2).</summary>
    public const ushort Piix3IsaBridge = 0x7000;

    /// <summary>PIIX4's power management (Intel 82371AB datasheet, section 7.1).</summary>
    public const ushort Piix4PowerManagement = 0x7113;

    /// <summary>A host bridge (PCI Code and ID Assignment 1.11, section 1.7).</summary>
    public const uint HostBridgeClass = 0x06_0000;

    /// <summary>An ISA bridge.</summary>
    public const uint IsaBridgeClass = 0x06_0100;

    /// <summary>Another kind of bridge.</summary>
    public const uint OtherBridgeClass = 0x06_8000;
}
