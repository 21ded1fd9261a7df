using Aperture.Pci.Capabilities;

namespace Aperture.Pci.Ports;

/// <summary>A downstream port of a switch: its secondary bus is a link with one device.</summary>
public sealed class SwitchDownstreamPort : PcieSlotPort
{
    /// <summary>Makes a downstream port.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="slot">Physical slot number, 0 to 8191; unique in the machine.</param>
    /// <param name="link">Speed and width; null is the default.</param>
    /// <param name="atomics">What it does with AtomicOps.</param>
    public SwitchDownstreamPort(string name, ushort slot, PcieLink? link = null, AtomicOps atomics = AtomicOps.None)
        : base(
            name,
            new PciIdentity(PciIds.SwitchVendor, PciIds.SwitchDownstreamPort, PciIdentity.BridgeClass, 2),
            new PciExpressCapability(PciePortType.SwitchDownstream, slot, link) { Atomics = atomics })
    {
    }
}
