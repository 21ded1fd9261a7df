namespace Aperture.Placement;

/// <summary>A host bridge and the functions on its root bus.</summary>
/// <param name="Name">What messages call it, such as <c>pcie.0</c>.</param>
/// <param name="Functions">The functions on the root bus, in any order.</param>
public sealed record HostBridgeDemand(string Name, IReadOnlyList<FunctionDemand> Functions)
{
    /// <summary>The PCI segment (ACPI 6.5, 6.5.6 <c>_SEG</c>).</summary>
    public ushort Segment { get; init; }

    /// <summary>The root bus.</summary>
    public byte FirstBus { get; init; }

    /// <summary>The last bus number that may be given below this bridge, inclusive.</summary>
    public byte LastBus { get; init; } = 0xFF;
}
