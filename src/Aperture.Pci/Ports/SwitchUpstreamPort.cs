using Aperture.Pci.Capabilities;

namespace Aperture.Pci.Ports;

/// <summary>The upstream port of a switch: its secondary bus holds the downstream ports.</summary>
public sealed class SwitchUpstreamPort : PciePort
{
    /// <summary>Makes an upstream port.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="serial">Serial number of the switch (EUI-64); null for none.</param>
    /// <param name="link">Speed and width; null is the default.</param>
    public SwitchUpstreamPort(string name, ulong? serial = null, PcieLink? link = null)
        : base(
            name,
            new PciIdentity(PciIds.SwitchVendor, PciIds.SwitchUpstreamPort, PciIdentity.BridgeClass, 2),
            new PciExpressCapability(PciePortType.SwitchUpstream, 0, link))
    {
        if (serial is { } number)
        {
            AddCapability(new SerialNumberCapability(number));
        }
    }
}
