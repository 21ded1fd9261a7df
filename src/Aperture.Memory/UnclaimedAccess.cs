namespace Aperture.Memory;

/// <summary>An address at which nothing answered.</summary>
/// <param name="Address">The first byte that nothing answered for.</param>
/// <param name="Size">The size of the first access there, in bytes.</param>
/// <param name="IsWrite">Whether the first access there wrote.</param>
/// <param name="Count">How often the address was accessed.</param>
public readonly record struct UnclaimedAccess(GuestAddress Address, int Size, bool IsWrite, ulong Count);
