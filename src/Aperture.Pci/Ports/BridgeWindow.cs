namespace Aperture.Pci.Ports;

/// <summary>The windows of a PCI-to-PCI bridge.</summary>
public enum BridgeWindow : byte
{
    /// <summary>I/O, in units of 4 KiB, 16-bit addresses.</summary>
    Io,

    /// <summary>Memory, in units of 1 MiB, always below 4 GiB.</summary>
    Memory,

    /// <summary>Prefetchable memory, in units of 1 MiB, 64-bit.</summary>
    Prefetchable,
}
