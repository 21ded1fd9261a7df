using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board.Virt;

/// <summary>The host bridge's own function, which says what is there and does nothing: the bridge has no registers but its ECAM window.</summary>
internal sealed class VirtHostBridge() : PciFunction(
    Place.Name, new PciIdentity(PciIds.VirtualVendor, PciIds.VirtualHostBridge, HostBridgeClass, 0, PciIds.VirtioVendor, VirtualMachine),
    ConfigSpace.ConventionalSize)
{
    // PCI Code and ID Assignment 1.11, section 1.7.
    private const uint HostBridgeClass = 0x06_0000;
    private const ushort VirtualMachine = 0x1100;

    /// <summary>Its place on the root bus: 00.0.</summary>
    public static ChipsetPlace Place { get; } = new("pcie-host", 0);
}
