namespace Aperture.Placement.Request;

/// <summary>A host bridge and the functions on its root bus.</summary>
/// <param name="Name">What messages call it, such as <c>pcie.0</c>. Unique in a request.</param>
/// <param name="Functions">The functions on the root bus, in any order.</param>
public sealed record HostBridgeDemand(string Name, IReadOnlyList<FunctionDemand> Functions)
{
    /// <summary>The PCI segment (ACPI 6.5, 6.5.6 <c>_SEG</c>). 32 bits, as hosts number domains that ACPI does not know.</summary>
    public uint Segment { get; init; }

    /// <summary>The root bus.</summary>
    public byte FirstBus { get; init; }

    /// <summary>The last bus number that may be given below this bridge, inclusive. Bridges of one segment have disjoint bus ranges.</summary>
    public byte LastBus { get; init; } = 0xFF;

    /// <summary>The I/O windows of this bridge as the user set them; null for what the board's windows leave. A pin outside set windows is an error.</summary>
    public IReadOnlyList<AddressRange>? IoWindows { get; init; }

    /// <summary>The memory windows of this bridge below 4 GiB as the user set them; null for what the board's hole leaves.</summary>
    public IReadOnlyList<AddressRange>? Mmio32Windows { get; init; }

    /// <summary>
    /// The memory windows of this bridge from 4 GiB up as the user set them; null for what RAM and the address width leave. RAM moves out of set windows.
    /// </summary>
    public IReadOnlyList<AddressRange>? Mmio64Windows { get; init; }
}
