using System.Collections.Immutable;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;

namespace Aperture.Host.Model;

/// <summary>Device/port type of the PCI Express capabilities register, every value a host may show (PCI Express 5.0, section 7.5.3.2).</summary>
public enum HostPortType : byte
{
    /// <summary>An endpoint.</summary>
    Endpoint = 0,

    /// <summary>An endpoint with I/O or other legacy ways.</summary>
    LegacyEndpoint = 1,

    /// <summary>A root port.</summary>
    RootPort = 4,

    /// <summary>The upstream port of a switch.</summary>
    SwitchUpstream = 5,

    /// <summary>A downstream port of a switch.</summary>
    SwitchDownstream = 6,

    /// <summary>A bridge from PCI Express down to PCI or PCI-X.</summary>
    PcieToPciBridge = 7,

    /// <summary>A bridge from PCI or PCI-X down to PCI Express.</summary>
    PciToPcieBridge = 8,

    /// <summary>An endpoint of the root complex.</summary>
    RootComplexEndpoint = 9,

    /// <summary>An event collector of the root complex.</summary>
    RootComplexEventCollector = 10,
}

/// <summary>A PCI-to-PCI bridge's bus numbers and open windows (PCI-to-PCI Bridge 1.2, section 3.2.5).</summary>
/// <param name="Primary">The bus it stands on, as its register says.</param>
/// <param name="Secondary">The bus below it; 0 when not configured.</param>
/// <param name="Subordinate">The highest bus below it.</param>
/// <param name="Io">The I/O window; null when closed or absent.</param>
/// <param name="Memory">The memory window; null when closed.</param>
/// <param name="Prefetchable">The prefetchable window; null when closed or absent.</param>
/// <param name="PrefetchableIs64Bit">True when the prefetchable window may lie above 4 GiB.</param>
public sealed record HostPciBridge(
    byte Primary, byte Secondary, byte Subordinate, AddressRange? Io, AddressRange? Memory, AddressRange? Prefetchable, bool PrefetchableIs64Bit)
{
    /// <summary>True when it decodes by subtraction (class 06.04.01): it forwards what nobody else claims, whatever its windows say.</summary>
    public bool Subtractive { get; init; }

    /// <summary>The windows of a CardBus bridge, which are of another kind (PC Card Standard 8.0, volume 7); empty for all others.</summary>
    public ImmutableArray<CardBusWindow> CardBusWindows { get; init; } = [];

    /// <summary>True when bus numbers were given to it.</summary>
    public bool Configured => Secondary != 0;
}

/// <summary>What a CardBus bridge's window forwards.</summary>
public enum CardBusWindowKind : byte
{
    /// <summary>Memory, with a granule of 4 KiB.</summary>
    Memory,

    /// <summary>The same, prefetchable.</summary>
    Prefetchable,

    /// <summary>I/O ports, with a granule of 4.</summary>
    Io,
}

/// <summary>An open window of a CardBus bridge.</summary>
/// <param name="Kind">What it forwards.</param>
/// <param name="Range">The addresses.</param>
public sealed record CardBusWindow(CardBusWindowKind Kind, AddressRange Range);

/// <summary>What the PCI Express capability says (PCI Express 5.0, section 7.5.3).</summary>
/// <param name="Type">The kind of device or port.</param>
/// <param name="Slot">The physical slot number, when the port has a slot.</param>
/// <param name="HotPlug">True when that slot takes hot-plug.</param>
/// <param name="AriForwarding">True when the port forwards 8-bit function numbers; null where the register is absent.</param>
/// <param name="MaximumLink">What the link could do.</param>
/// <param name="CurrentLink">What the link does; null without one.</param>
public sealed record HostPcie(HostPortType Type, int? Slot, bool HotPlug, bool? AriForwarding, PcieLink MaximumLink, PcieLink? CurrentLink)
{
    /// <summary>What a port does with AtomicOps; nothing where the register is absent or not shown.</summary>
    public AtomicOps Atomics { get; init; }

    /// <summary>True when a port is set to block AtomicOps on their way out (device control 2, bit 7).</summary>
    public bool BlocksAtomics { get; init; }
}

/// <summary>The SR-IOV capability (PCI Express 5.0, section 9.3.3), or what sysfs says of it.</summary>
/// <param name="TotalVfs">VFs it can have.</param>
/// <param name="NumVfs">VFs it has now.</param>
/// <param name="FirstVfOffset">Routing id of the first VF less the PF's.</param>
/// <param name="VfStride">Routing id distance between VFs.</param>
/// <param name="VfDeviceId">Device id of the VFs.</param>
/// <param name="VfBars">What the VFs decode; sizes are known where the kernel lists them.</param>
public sealed record HostSriov(int TotalVfs, int NumVfs, ushort FirstVfOffset, ushort VfStride, ushort VfDeviceId, ImmutableArray<HostVfBar> VfBars)
{
    /// <summary>Sizes the VF BARs can take (VF resizable BAR capability).</summary>
    public ImmutableArray<HostResizableBar> ResizableVfBars { get; init; } = [];
}

/// <summary>
/// Access control services (PCI Express 5.0, section 7.7.8). Bit 5, egress control, has no name in <see cref="AcsControls"/>: see <see cref="Describe"/>.
/// </summary>
/// <param name="Offered">What it can do.</param>
/// <param name="Enabled">What is turned on.</param>
public sealed record HostAcs(AcsControls Offered, AcsControls Enabled)
{
    private static readonly string[] Names = ["SV", "TB", "RR", "CR", "UF", "EC", "DT"];

    /// <summary>The bits as <c>SV+ TB- RR+ CR+ UF+ EC- DT-</c>; a bit that is not offered is left out.</summary>
    public string Describe() => string.Join(
        ' ', Enumerable.Range(0, Names.Length).Where(bit => Has(Offered, bit)).Select(bit => Names[bit] + (Has(Enabled, bit) ? '+' : '-')));

    private static bool Has(AcsControls word, int bit) => ((int)word >> bit & 1) != 0;
}

/// <summary>Which resets a function's registers offer.</summary>
/// <param name="FunctionLevel">Function level reset (PCI Express 5.0, section 7.5.3.3, bit 28; or Advanced Features, capability 0x13).</param>
/// <param name="PowerState">It loses its state from D3hot to D0: it has power management and No_Soft_Reset is off (PCI Power Management 1.2, section
/// 3.2.4).</param>
public sealed record HostResets(bool FunctionLevel, bool PowerState);

/// <summary>Address translation services (PCI Express 5.0, section 10.5.1).</summary>
/// <param name="Enabled">True when the function may send translated requests.</param>
public sealed record HostAts(bool Enabled);
