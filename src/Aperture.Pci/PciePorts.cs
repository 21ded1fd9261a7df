namespace Aperture.Pci;

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

/// <summary>A PCI Express root port: its secondary bus is a link with one device.</summary>
public sealed class RootPort : PciePort
{
    /// <summary>Makes a root port with INTA.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="slot">Physical slot number, 0 to 8191; unique in the machine.</param>
    /// <param name="link">Speed and width; null is the default.</param>
    public RootPort(string name, ushort slot, PcieLink? link = null)
        : base(
            name,
            new PciIdentity(PciIds.VirtualVendor, PciIds.VirtualRootPort, PciIdentity.BridgeClass),
            new PciExpressCapability(PciePortType.RootPort, slot, link))
    {
        AddCapability(new AcsCapability(AcsControls.Port));
        SetInterruptPin(1);
    }

    internal override void ChildrenChanged() => Express.SetPresence(Secondary.Functions.Count != 0);
}

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

/// <summary>A downstream port of a switch: its secondary bus is a link with one device.</summary>
public sealed class SwitchDownstreamPort : PciePort
{
    /// <summary>Makes a downstream port.</summary>
    /// <param name="name">What messages call it.</param>
    /// <param name="slot">Physical slot number, 0 to 8191; unique in the machine.</param>
    /// <param name="link">Speed and width; null is the default.</param>
    public SwitchDownstreamPort(string name, ushort slot, PcieLink? link = null)
        : base(
            name,
            new PciIdentity(PciIds.SwitchVendor, PciIds.SwitchDownstreamPort, PciIdentity.BridgeClass, 2),
            new PciExpressCapability(PciePortType.SwitchDownstream, slot, link))
    {
        AddCapability(new AcsCapability(AcsControls.Port));
    }

    internal override void ChildrenChanged() => Express.SetPresence(Secondary.Functions.Count != 0);
}
