using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;

namespace Aperture.Pci.Ports;

/// <summary>What root ports and the ports of a switch share: a bridge with the PCI Express, MSI and power management capabilities and AER.</summary>
public abstract class PciePort : PciBridge
{
    private protected PciePort(string name, PciIdentity identity, PciExpressCapability express)
        : base(name, identity, ConfigSpace.ExtendedSize, express.Type is not PciePortType.SwitchUpstream)
    {
        Express = express;
        AddCapability(express);
        AddCapability(new MsiCapability(1));
        AddCapability(new PowerManagementCapability());
        AddCapability(new AdvancedErrorCapability(express.Type == PciePortType.RootPort));
    }

    /// <summary>The PCI Express capability.</summary>
    public PciExpressCapability Express { get; }
}
