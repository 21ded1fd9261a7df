using System.Collections.Immutable;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Host.Model;

/// <summary>One PCI function of a host, as far as its source tells: null means "not told", not "not there", unless a member says otherwise.</summary>
public sealed record HostFunction
{
    /// <summary>Where it stands.</summary>
    public required PciAddress Address { get; init; }

    /// <summary>Ids, class and revision.</summary>
    public required PciIdentity Identity { get; init; }

    /// <summary>Header layout: 0 an ordinary function, 1 a PCI-to-PCI bridge, 2 a CardBus bridge.</summary>
    public byte HeaderType { get; init; }

    /// <summary>True when the header says that its device has more functions.</summary>
    public bool MultiFunction { get; init; }

    /// <summary>The bound driver; null when none is bound or the source does not tell.</summary>
    public string? Driver { get; init; }

    /// <summary>IOMMU group number; null when it has none or the source does not tell (<see cref="HostMachine.KnowsIommuGroups"/>).</summary>
    public int? IommuGroup { get; init; }

    /// <summary>The reserved regions of its IOMMU group.</summary>
    public ImmutableArray<HostReservedRegion> ReservedRegions { get; init; } = [];

    /// <summary>The driver that an administrator chose with <c>driver_override</c>; null when none is or the source does not tell.</summary>
    public string? DriverOverride { get; init; }

    /// <summary>The kernel's name of the IOMMU that it is behind; null when there is none or the source does not tell.</summary>
    public string? IommuUnit { get; init; }

    /// <summary>The kernel's reset methods, in its order: <c>flr</c>, <c>pm</c>, <c>bus</c>; null when the source does not tell.</summary>
    public ImmutableArray<string>? ResetMethods { get; init; }

    /// <summary>Which resets its registers offer; null when the source does not show its capabilities.</summary>
    public HostResets? Resets { get; init; }

    /// <summary>The kernel's number of its interrupt: of INTx, or of the first message when it uses those. 0 for none; null when the source does not
    /// tell.</summary>
    public int? Irq { get; init; }

    /// <summary>The INTx pin, 1 for INTA# to 4; 0 for none; null when the source does not tell.</summary>
    public byte? InterruptPin { get; init; }

    /// <summary>True when it has MSI or MSI-X; null when the source does not show its capabilities.</summary>
    public bool? SignalsMessages { get; init; }

    /// <summary>True for the display that the firmware started; null when it is no display or the source does not tell.</summary>
    public bool? IsBootDisplay { get; init; }

    /// <summary>NUMA node; null when it has none or the source does not tell.</summary>
    public int? NumaNode { get; init; }

    /// <summary>Configuration space as far as it is known: 0, 64, 128 (CardBus), 256 or 4096 bytes.</summary>
    public ReadOnlyMemory<byte> Config { get; init; }

    /// <summary>Its BARs in register order, without the ROM.</summary>
    public ImmutableArray<HostBar> Bars { get; init; } = [];

    /// <summary>Its expansion ROM; null when it has none that shows.</summary>
    public HostBar? Rom { get; init; }

    /// <summary>Bus numbers and windows, when it is a PCI-to-PCI bridge.</summary>
    public HostPciBridge? Bridge { get; init; }

    /// <summary>The bridge it is below; null on a root bus.</summary>
    public PciAddress? Parent { get; init; }

    /// <summary>The functions directly below, when it is a bridge, in address order.</summary>
    public ImmutableArray<PciAddress> Children { get; init; } = [];

    /// <summary>Its PCI Express capability.</summary>
    public HostPcie? Pcie { get; init; }

    /// <summary>Its SR-IOV capability.</summary>
    public HostSriov? Sriov { get; init; }

    /// <summary>The PF this VF belongs to; null when it is not a VF.</summary>
    public PciAddress? PhysicalFunction { get; init; }

    /// <summary>Its resizable BARs.</summary>
    public ImmutableArray<HostResizableBar> ResizableBars { get; init; } = [];

    /// <summary>Access control services.</summary>
    public HostAcs? Acs { get; init; }

    /// <summary>Address translation services.</summary>
    public HostAts? Ats { get; init; }

    /// <summary>True when it has the alternative routing-id capability; null when extended configuration space is not known.</summary>
    public bool? HasAri { get; init; }

    /// <summary>Its command register; null when the source does not tell.</summary>
    public PciCommand? Command { get; init; }

    /// <summary>True when the source shows its capabilities, so that a missing one is one it does not have.</summary>
    public bool KnowsCapabilities { get; init; }

    /// <summary>True when the source shows its extended capabilities, so that a missing one is one it does not have.</summary>
    public bool KnowsExtendedConfig { get; init; }

    /// <summary>True when it is a virtual function.</summary>
    public bool IsVirtualFunction => PhysicalFunction is not null;

    /// <summary>The BARs and then the ROM.</summary>
    public IEnumerable<HostBar> AllBars => Rom is null ? Bars : Bars.Append(Rom);
}
