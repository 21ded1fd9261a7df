namespace Aperture.Pci;

/// <summary>
/// Every vendor and device id that this part puts in front of a guest. Stock drivers bind ports by class code, not by id; the ids are
/// ones that public id lists know, so that a guest's lspci prints a name.
/// </summary>
public static class PciIds
{
    /// <summary>Red Hat's vendor id for virtual PCI devices.</summary>
    public const ushort VirtualVendor = 0x1B36;

    /// <summary>A generic virtual PCI Express root port.</summary>
    public const ushort VirtualRootPort = 0x000C;

    /// <summary>A generic virtual PCI Express host bridge.</summary>
    public const ushort VirtualHostBridge = 0x0008;

    /// <summary>Red Hat's other vendor id, of virtio devices (virtio 1.2, 4.1.2).</summary>
    public const ushort VirtioVendor = 0x1AF4;

    /// <summary>Texas Instruments, whose XIO3130 is the common plain PCI Express switch.</summary>
    public const ushort SwitchVendor = 0x104C;

    /// <summary>XIO3130 upstream port.</summary>
    public const ushort SwitchUpstreamPort = 0x8232;

    /// <summary>XIO3130 downstream port.</summary>
    public const ushort SwitchDownstreamPort = 0x8233;
}
