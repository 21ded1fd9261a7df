using System.Globalization;

namespace Aperture.Emission;

/// <summary>A host device's address.</summary>
/// <param name="Domain">The PCI domain.</param>
/// <param name="Function">Bus, device and function.</param>
internal readonly record struct HostAddress(uint Domain, Bdf Function)
{
    /// <summary>Reads <c>0000:3b:00.0</c> or <c>3b:00.0</c>, as sysfs and lspci print them; null for anything else.</summary>
    public static HostAddress? Parse(string text)
    {
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        int second = text.LastIndexOf(':');
        uint domain = 0;
        ReadOnlySpan<char> rest = text;
        if (colon != second)
        {
            if (!uint.TryParse(text.AsSpan(0, colon), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out domain))
            {
                return null;
            }

            rest = text.AsSpan(colon + 1);
        }

        return Bdf.TryParse(rest, out Bdf function) ? new HostAddress(domain, function) : null;
    }
}
