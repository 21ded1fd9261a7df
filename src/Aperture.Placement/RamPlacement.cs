namespace Aperture.Placement;

/// <summary>The RAM split.</summary>
/// <param name="LowHoleStart">Where the low hole starts (TOLUD when RAM reaches it): RAM below it, PCI above it. At least the end of <paramref name="Low"/>.</param>
/// <param name="Low">RAM from address 0.</param>
/// <param name="High">RAM from 4 GiB; empty when everything fits below the hole.</param>
public sealed record RamPlacement(GuestAddress LowHoleStart, AddressRange Low, AddressRange High);
