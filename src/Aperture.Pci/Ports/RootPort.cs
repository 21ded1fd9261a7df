using Aperture.Pci.Capabilities;

namespace Aperture.Pci.Ports;

/// <summary>A PCI Express root port: its secondary bus is a link with one device.</summary>
public sealed class RootPort : PcieSlotPort
{
    /// <summary>Makes a root port with INTA.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="slot">Physical slot number, 0 to 8191; unique in the machine.</param>
    /// <param name="link">Speed and width; null is the default.</param>
    /// <param name="atomics">What it does with AtomicOps.</param>
    public RootPort(string name, ushort slot, PcieLink? link = null, AtomicOps atomics = AtomicOps.None)
        : base(
            name,
            new PciIdentity(PciIds.VirtualVendor, PciIds.VirtualRootPort, PciIdentity.BridgeClass),
            new PciExpressCapability(PciePortType.RootPort, slot, link) { Atomics = atomics })
    {
        SetInterruptPin(1);
    }
}
