namespace Aperture.Placement;

/// <summary>Addresses that are taken, and by whom.</summary>
/// <param name="Range">The addresses.</param>
/// <param name="Origin">Who took them, as it reads after "it overlaps": <c>the HPET</c>, <c>the AMD HyperTransport hole</c>.</param>
public sealed record ReservedRange(AddressRange Range, string Origin);
