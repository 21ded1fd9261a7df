namespace Aperture.Pci.Ports;

/// <summary>Device/port type of the PCI Express capabilities register (PCI Express 5.0, section 7.5.3.2).</summary>
public enum PciePortType : byte
{
    /// <summary>An endpoint below a port.</summary>
    Endpoint = 0,

    /// <summary>A root port.</summary>
    RootPort = 4,

    /// <summary>The upstream port of a switch.</summary>
    SwitchUpstream = 5,

    /// <summary>A downstream port of a switch.</summary>
    SwitchDownstream = 6,

    /// <summary>An endpoint on the root bus; it has no link.</summary>
    RootComplexEndpoint = 9,
}
