using System.Globalization;

namespace Aperture;

/// <summary>
/// A byte address as the guest's bus sees it: guest physical for memory, a port number for I/O.
/// Arithmetic wraps at 2^64; callers that must not wrap use <see cref="AddressRange"/>, which refuses to.
/// </summary>
/// <param name="Value">The address in bytes.</param>
public readonly record struct GuestAddress(ulong Value) : IComparable<GuestAddress>
{
    /// <summary>Address 0.</summary>
    public static GuestAddress Zero => default;

    /// <summary>True when the address is a multiple of <paramref name="alignment"/> (a power of two, in bytes).</summary>
    public bool IsAligned(ulong alignment) => (Value & (alignment - 1)) == 0;

    /// <summary>The largest multiple of <paramref name="alignment"/> (a power of two) not above this address.</summary>
    public GuestAddress AlignDown(ulong alignment) => new(Value & ~(alignment - 1));

    /// <summary>The smallest multiple of <paramref name="alignment"/> (a power of two) not below this address; wraps to 0 past 2^64.</summary>
    public GuestAddress AlignUp(ulong alignment) => new((Value + alignment - 1) & ~(alignment - 1));

    /// <inheritdoc/>
    public int CompareTo(GuestAddress other) => Value.CompareTo(other.Value);

    /// <summary>The address <paramref name="offset"/> bytes above.</summary>
    public static GuestAddress operator +(GuestAddress address, ulong offset) => new(address.Value + offset);

    /// <summary>The address <paramref name="offset"/> bytes below.</summary>
    public static GuestAddress operator -(GuestAddress address, ulong offset) => new(address.Value - offset);

    /// <summary>The distance in bytes from <paramref name="right"/> up to <paramref name="left"/>.</summary>
    public static ulong operator -(GuestAddress left, GuestAddress right) => left.Value - right.Value;

    /// <summary>Orders by address.</summary>
    public static bool operator <(GuestAddress left, GuestAddress right) => left.Value < right.Value;

    /// <summary>Orders by address.</summary>
    public static bool operator >(GuestAddress left, GuestAddress right) => left.Value > right.Value;

    /// <summary>Orders by address.</summary>
    public static bool operator <=(GuestAddress left, GuestAddress right) => left.Value <= right.Value;

    /// <summary>Orders by address.</summary>
    public static bool operator >=(GuestAddress left, GuestAddress right) => left.Value >= right.Value;

    /// <summary>The address as <c>0x</c> and lower-case hexadecimal without leading zeros.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x}");
}
