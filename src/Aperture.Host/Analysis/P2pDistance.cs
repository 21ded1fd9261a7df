using System.Collections.Immutable;
using Aperture.Host.Model;
using Aperture.Pci.Capabilities;

namespace Aperture.Host.Analysis;

/// <summary>How far apart two functions are for peer-to-peer transfers, nearest first.</summary>
public enum P2pDistanceKind : byte
{
    /// <summary>One and the same function.</summary>
    SameFunction,

    /// <summary>Functions of one device, or a PF and its VFs: traffic need not leave the device.</summary>
    SameDevice,

    /// <summary>Devices on one conventional bus: they see each other's cycles.</summary>
    SameBus,

    /// <summary>Below one switch (or a tree of switches).</summary>
    SameSwitch,

    /// <summary>Below one root port, by ways that are not a switch.</summary>
    SameRootPort,

    /// <summary>Below one host bridge, through different root ports.</summary>
    SameRootComplex,

    /// <summary>Below different host bridges.</summary>
    AcrossHostBridges,

    /// <summary>The description does not tell.</summary>
    Unknown,
}

/// <summary>What happens to a request on the way.</summary>
public enum P2pRouting : byte
{
    /// <summary>Goes straight to the peer, by raw bus addresses; the IOMMU does not see it.</summary>
    Direct,

    /// <summary>ACS sends it up to the root complex and the IOMMU first.</summary>
    Redirected,

    /// <summary>ACS of the ports that decide is not known.</summary>
    Unknown,
}

/// <summary>A port (or function) whose ACS decides, and what it says.</summary>
/// <param name="Port">The port.</param>
/// <param name="Acs">Its ACS; null when it has none or the source does not tell.</param>
/// <param name="Known">True when the source tells; then a null <paramref name="Acs"/> means that it has none.</param>
public sealed record P2pPort(PciAddress Port, HostAcs? Acs, bool Known)
{
    /// <summary>
    /// True when request redirect is on. Completion redirect alone lets requests go straight and sends only the answers up (PCI Express 5.0, section 6.12.3).
    /// </summary>
    public bool Redirects => Acs is not null && (Acs.Enabled & AcsControls.RequestRedirect) != 0;
}

/// <summary>How far apart two functions are, the way between them and what decides on it.</summary>
/// <param name="From">The first function.</param>
/// <param name="To">The second function.</param>
/// <param name="Kind">The distance.</param>
/// <param name="Routing">What happens to a request.</param>
/// <param name="Path">Every function on the way, both ends included, the common bridge in the middle where there is one.</param>
/// <param name="DecidingPorts">The ports whose ACS decides.</param>
/// <param name="Text">All of it as a sentence.</param>
public sealed record P2pDistance(
    PciAddress From,
    PciAddress To,
    P2pDistanceKind Kind,
    P2pRouting Routing,
    ImmutableArray<PciAddress> Path,
    ImmutableArray<P2pPort> DecidingPorts,
    string Text);
