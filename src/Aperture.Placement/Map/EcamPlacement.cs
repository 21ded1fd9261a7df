namespace Aperture.Placement.Map;

/// <summary>The ECAM window of one PCI segment.</summary>
/// <param name="Segment">The segment.</param>
/// <param name="Range">Its addresses; bus 0 is at the start, each bus takes 1 MiB (PCIe 5.0, 7.2.2).</param>
public sealed record EcamPlacement(uint Segment, AddressRange Range);
