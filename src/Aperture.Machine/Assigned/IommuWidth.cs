using System.Globalization;

namespace Aperture.Machine.Assigned;

/// <summary>How many address bits this host's IOMMU translates, as far as sysfs says.</summary>
public static class IommuWidth
{
    private const string Class = "/sys/class/iommu";

    /// <summary>
    /// The least over all of Intel's remapping units: MGAW, bits 21:16 of the capability register, plus 1 (VT-d 4.1, 11.4.2). Null where sysfs has no such
    /// register, as on AMD's hosts.
    /// </summary>
    public static int? Read()
    {
        try
        {
            return Directory.Exists(Class)
                ? Least(Directory.GetDirectories(Class).Select(unit => Path.Combine(unit, "intel-iommu", "cap")).Where(File.Exists).Select(File.ReadAllText))
                : null;
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The least width that <paramref name="registers"/>, hexadecimal as sysfs prints them, tell of.</summary>
    internal static int? Least(IEnumerable<string> registers)
    {
        int? least = null;
        foreach (string text in registers)
        {
            if (ulong.TryParse(text.Trim(), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong register))
            {
                int bits = (int)(register >> 16 & 0x3F) + 1;
                least = Math.Min(least ?? bits, bits);
            }
        }

        return least;
    }
}
