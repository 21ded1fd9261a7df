using System.Globalization;

namespace Aperture;

/// <summary>
/// A run of guest addresses: <see cref="Size"/> bytes from <see cref="Start"/>. Never wraps: the last byte is at most 2^64 - 1.
/// A size of zero is the empty range, which overlaps and contains nothing.
/// </summary>
public readonly record struct AddressRange : IComparable<AddressRange>
{
    /// <summary>Makes a range of <paramref name="size"/> bytes at <paramref name="start"/>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range would pass 2^64.</exception>
    public AddressRange(GuestAddress start, ulong size)
    {
        if (!Fits(start, size))
        {
            throw new ArgumentOutOfRangeException(nameof(size), $"a range of 0x{size:x} bytes at {start} passes the end of the address space");
        }

        Start = start;
        Size = size;
    }

    /// <summary>The first address.</summary>
    public GuestAddress Start { get; }

    /// <summary>The length in bytes.</summary>
    public ulong Size { get; }

    /// <summary>The last address inside; meaningless for an empty range.</summary>
    public GuestAddress Last => Start + (Size - 1);

    /// <summary>True when the range holds no byte.</summary>
    public bool IsEmpty => Size == 0;

    /// <summary>The range from <paramref name="first"/> to <paramref name="last"/>, both inside. The whole 2^64 space cannot be said and is refused.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="last"/> lies below <paramref name="first"/>, or the range is the whole space.</exception>
    public static AddressRange FromBounds(GuestAddress first, GuestAddress last)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(last, first);
        ulong size = last - first + 1;
        ArgumentOutOfRangeException.ThrowIfZero(size);
        return new AddressRange(first, size);
    }

    /// <summary>
    /// True when <paramref name="size"/> bytes at <paramref name="start"/> do not pass 2^64. For guest-given numbers: ask before constructing.
    /// </summary>
    public static bool Fits(GuestAddress start, ulong size) => size == 0 || start.Value <= ulong.MaxValue - (size - 1);

    /// <summary>True when <paramref name="address"/> lies inside.</summary>
    public bool Contains(GuestAddress address) => address.Value - Start.Value < Size;

    /// <summary>True when <paramref name="other"/> is not empty and lies wholly inside.</summary>
    public bool Contains(AddressRange other) => !other.IsEmpty && Contains(other.Start) && Contains(other.Last);

    /// <summary>True when the two share at least one byte.</summary>
    public bool Overlaps(AddressRange other) => !IsEmpty && !other.IsEmpty && Start <= other.Last && other.Start <= Last;

    /// <summary>The bytes in both; empty when there are none.</summary>
    public AddressRange Intersect(AddressRange other)
    {
        if (!Overlaps(other))
        {
            return default;
        }

        GuestAddress first = Start >= other.Start ? Start : other.Start;
        GuestAddress last = Last <= other.Last ? Last : other.Last;
        return new AddressRange(first, last - first + 1);
    }

    /// <summary>Orders by start, then by size.</summary>
    public int CompareTo(AddressRange other)
    {
        int byStart = Start.CompareTo(other.Start);
        return byStart != 0 ? byStart : Size.CompareTo(other.Size);
    }

    /// <summary>Orders by start, then by size.</summary>
    public static bool operator <(AddressRange left, AddressRange right) => left.CompareTo(right) < 0;

    /// <summary>Orders by start, then by size.</summary>
    public static bool operator >(AddressRange left, AddressRange right) => left.CompareTo(right) > 0;

    /// <summary>Orders by start, then by size.</summary>
    public static bool operator <=(AddressRange left, AddressRange right) => left.CompareTo(right) <= 0;

    /// <summary>Orders by start, then by size.</summary>
    public static bool operator >=(AddressRange left, AddressRange right) => left.CompareTo(right) >= 0;

    /// <summary>First and last address: <c>0xe0000000-0xefffffff</c>.</summary>
    public override string ToString() => IsEmpty
        ? string.Create(CultureInfo.InvariantCulture, $"{Start} (empty)")
        : string.Create(CultureInfo.InvariantCulture, $"{Start}-{Last}");
}
