namespace Aperture.Pci.Registers;

/// <summary>The command register (PCI Local Bus 3.0, section 6.2.2; PCI Express 5.0, section 7.5.1.1.3).</summary>
[Flags]
public enum PciCommand : ushort
{
    /// <summary>Nothing enabled.</summary>
    None = 0,

    /// <summary>I/O BARs decode; a bridge forwards its I/O window.</summary>
    IoSpace = 1 << 0,

    /// <summary>Memory BARs decode; a bridge forwards its memory windows.</summary>
    MemorySpace = 1 << 1,

    /// <summary>The function may issue requests: DMA and MSI.</summary>
    BusMaster = 1 << 2,

    /// <summary>Parity error response.</summary>
    ParityErrorResponse = 1 << 6,

    /// <summary>System error reporting.</summary>
    SystemError = 1 << 8,

    /// <summary>The function may not assert INTx.</summary>
    InterruptDisable = 1 << 10,
}
