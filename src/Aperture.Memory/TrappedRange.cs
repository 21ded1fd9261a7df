namespace Aperture.Memory;

/// <summary>
/// Guest memory that is not in a slot although it could be: each access exits and is answered from the memory, or by a device region's handler.
/// </summary>
/// <param name="Range">The addresses.</param>
/// <param name="Region">The region they belong to.</param>
/// <param name="Reason">Why, in one sentence.</param>
public readonly record struct TrappedRange(AddressRange Range, Region Region, string Reason);
