using System.Globalization;

namespace Aperture;

/// <summary>A virtual address in this process (HVA). It is a number, not a licence to dereference: only unsafe parts turn it into a pointer.</summary>
/// <param name="Value">The address in bytes.</param>
public readonly record struct HostAddress(ulong Value) : IComparable<HostAddress>
{
    /// <inheritdoc/>
    public int CompareTo(HostAddress other) => Value.CompareTo(other.Value);

    /// <summary>The address <paramref name="offset"/> bytes above.</summary>
    public static HostAddress operator +(HostAddress address, ulong offset) => new(address.Value + offset);

    /// <summary>Orders by address.</summary>
    public static bool operator <(HostAddress left, HostAddress right) => left.Value < right.Value;

    /// <summary>Orders by address.</summary>
    public static bool operator >(HostAddress left, HostAddress right) => left.Value > right.Value;

    /// <summary>Orders by address.</summary>
    public static bool operator <=(HostAddress left, HostAddress right) => left.Value <= right.Value;

    /// <summary>Orders by address.</summary>
    public static bool operator >=(HostAddress left, HostAddress right) => left.Value >= right.Value;

    /// <summary>The address as <c>0x</c> and lower-case hexadecimal.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"0x{Value:x}");
}
