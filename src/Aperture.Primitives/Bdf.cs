using System.Globalization;

namespace Aperture;

/// <summary>A PCI function's routing id inside one segment: bus 15:8, device 7:3, function 2:0 (PCI Express Base Specification, requester id).</summary>
/// <param name="RoutingId">The 16 bits as they travel in a transaction.</param>
public readonly record struct Bdf(ushort RoutingId) : IComparable<Bdf>
{
    /// <summary>Makes a routing id from its parts.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Device above 31 or function above 7.</exception>
    public Bdf(byte bus, int device, int function)
        : this(Combine(bus, device, function))
    {
    }

    /// <summary>Bus number, 0 to 255.</summary>
    public byte Bus => (byte)(RoutingId >> 8);

    /// <summary>Device number, 0 to 31.</summary>
    public int Device => RoutingId >> 3 & 0x1F;

    /// <summary>Function number, 0 to 7.</summary>
    public int Function => RoutingId & 7;

    /// <summary>Device and function as one byte, device in 7:3: ARI's 8-bit function number, and the index on a bus.</summary>
    public byte DeviceFunction => (byte)RoutingId;

    /// <summary>Reads <c>bb:dd.f</c> (hexadecimal, as lspci prints it).</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Bdf bdf)
    {
        bdf = default;
        int colon = text.IndexOf(':');
        if (colon < 0
            || !byte.TryParse(text[..colon], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte bus)
            || !TryParseDeviceFunction(text[(colon + 1)..], out byte deviceFunction))
        {
            return false;
        }

        bdf = new Bdf((ushort)(bus << 8 | deviceFunction));
        return true;
    }

    /// <summary>Reads <c>dd.f</c> or <c>dd</c> (function 0), hexadecimal, as a device's place on its bus.</summary>
    public static bool TryParseDeviceFunction(ReadOnlySpan<char> text, out byte deviceFunction)
    {
        deviceFunction = 0;
        int dot = text.IndexOf('.');
        ReadOnlySpan<char> device = dot < 0 ? text : text[..dot];
        int function = 0;
        if (dot >= 0)
        {
            ReadOnlySpan<char> digit = text[(dot + 1)..];
            if (digit.Length != 1 || digit[0] is < '0' or > '7')
            {
                return false;
            }

            function = digit[0] - '0';
        }

        if (device.Length is 0 or > 2
            || !byte.TryParse(device, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte number)
            || number > 31)
        {
            return false;
        }

        deviceFunction = (byte)(number << 3 | function);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(Bdf other) => RoutingId.CompareTo(other.RoutingId);

    /// <summary>Orders by bus, device, function.</summary>
    public static bool operator <(Bdf left, Bdf right) => left.RoutingId < right.RoutingId;

    /// <summary>Orders by bus, device, function.</summary>
    public static bool operator >(Bdf left, Bdf right) => left.RoutingId > right.RoutingId;

    /// <summary>Orders by bus, device, function.</summary>
    public static bool operator <=(Bdf left, Bdf right) => left.RoutingId <= right.RoutingId;

    /// <summary>Orders by bus, device, function.</summary>
    public static bool operator >=(Bdf left, Bdf right) => left.RoutingId >= right.RoutingId;

    /// <summary><c>bb:dd.f</c>, hexadecimal, as lspci prints it.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Bus:x2}:{Device:x2}.{Function}");

    private static ushort Combine(byte bus, int device, int function)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)device, 31u, nameof(device));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)function, 7u, nameof(function));
        return (ushort)(bus << 8 | device << 3 | function);
    }
}
