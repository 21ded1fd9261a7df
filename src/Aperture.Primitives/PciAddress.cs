using System.Globalization;

namespace Aperture;

/// <summary>
/// Where a function stands on a host: the domain (Linux' word for a PCI segment, 32 bits because virtual domains count from 0x10000) and its routing id.
/// </summary>
/// <param name="Domain">The domain number.</param>
/// <param name="Bdf">Bus, device and function inside the domain.</param>
public readonly record struct PciAddress(uint Domain, Bdf Bdf) : IComparable<PciAddress>
{
    /// <summary>The function's bus inside its domain.</summary>
    public byte Bus => Bdf.Bus;

    /// <summary>Reads <c>bb:dd.f</c> (domain 0) or <c>dddd:bb:dd.f</c> with a domain of one to eight hexadecimal digits, as lspci and sysfs print it.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out PciAddress address)
    {
        address = default;
        uint domain = 0;
        int first = text.IndexOf(':');
        if (first < 0)
        {
            return false;
        }

        ReadOnlySpan<char> rest = text;
        if (text[(first + 1)..].Contains(':'))
        {
            if (first is 0 or > 8 || !uint.TryParse(text[..first], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out domain))
            {
                return false;
            }

            rest = text[(first + 1)..];
        }

        // Exactly bb:dd.f: Bdf itself also takes shorter spellings, which neither lspci nor sysfs write.
        if (rest.Length != 7 || rest[5] != '.' || !Bdf.TryParse(rest, out Bdf bdf))
        {
            return false;
        }

        address = new PciAddress(domain, bdf);
        return true;
    }

    /// <inheritdoc/>
    public int CompareTo(PciAddress other)
    {
        int byDomain = Domain.CompareTo(other.Domain);
        return byDomain != 0 ? byDomain : Bdf.CompareTo(other.Bdf);
    }

    /// <summary>Orders by domain, bus, device, function.</summary>
    public static bool operator <(PciAddress left, PciAddress right) => left.CompareTo(right) < 0;

    /// <summary>Orders by domain, bus, device, function.</summary>
    public static bool operator >(PciAddress left, PciAddress right) => left.CompareTo(right) > 0;

    /// <summary>Orders by domain, bus, device, function.</summary>
    public static bool operator <=(PciAddress left, PciAddress right) => left.CompareTo(right) <= 0;

    /// <summary>Orders by domain, bus, device, function.</summary>
    public static bool operator >=(PciAddress left, PciAddress right) => left.CompareTo(right) >= 0;

    /// <summary><c>dddd:bb:dd.f</c>: at least four digits of domain, as sysfs names it.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Domain:x4}:{Bdf}");
}
