namespace Aperture.Placement.Search;

/// <summary>How tightly the map is packed. Windows moves BARs when the low hole has large unused gaps; a small hole without gaps stops it.</summary>
/// <param name="HoleSize">Bytes from the start of the low hole to the end of the 32-bit window.</param>
/// <param name="HoleUsed">Bytes of that which BARs, bridge windows, ECAM and reserved ranges take.</param>
/// <param name="LargestGap">The largest run of it that nothing takes; empty when there is none.</param>
/// <param name="Gaps">How many such runs there are.</param>
/// <param name="HighUsed">Bytes that BARs and bridge windows take from 4 GiB up.</param>
/// <param name="HighEnd">The first address past everything that was placed: what the guest's address width must reach.</param>
public sealed record LayoutMetrics(ulong HoleSize, ulong HoleUsed, AddressRange LargestGap, int Gaps, ulong HighUsed, GuestAddress HighEnd);
