using Aperture.Pci.Capabilities;

namespace Aperture.Pci.Ports;

/// <summary>The upstream port of a switch: its secondary bus holds the downstream ports.</summary>
public sealed class SwitchUpstreamPort : PciePort
{
    /// <summary>Makes an upstream port.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="serial">Serial number of the switch (EUI-64); null for none.</param>
    /// <param name="link">Speed and width; null is the default.</param>
    /// <param name="atomics">What it does with AtomicOps.</param>
    public SwitchUpstreamPort(string name, ulong? serial = null, PcieLink? link = null, AtomicOps atomics = AtomicOps.None)
        : base(
            name,
            new PciIdentity(PciIds.SwitchVendor, PciIds.SwitchUpstreamPort, PciIdentity.BridgeClass, 2),
            new PciExpressCapability(PciePortType.SwitchUpstream, 0, link) { Atomics = atomics })
    {
        if (serial is { } number)
        {
            AddCapability(new SerialNumberCapability(number));
        }
    }
}
