using System.Globalization;
using System.Text;
using Aperture.Host.Model;

namespace Aperture.Host.Reading;

/// <summary>Reads the small text files of sysfs.</summary>
internal static class SysfsText
{
    /// <summary>The text of an attribute; what is not ASCII becomes a question mark.</summary>
    internal static string Decode(byte[] content) => Encoding.ASCII.GetString(content);

    /// <summary>Reads a hexadecimal number with <c>0x</c> of at most <paramref name="bits"/> bits.</summary>
    /// <exception cref="ApertureException">It is something else.</exception>
    internal static ulong Hex(string text, int bits, string place)
    {
        string trimmed = text.Trim();
        if (!trimmed.StartsWith("0x", StringComparison.Ordinal)
            || !ulong.TryParse(trimmed.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value)
            || (bits < 64 && value >> bits != 0))
        {
            throw new ApertureException($"{place}: {Quote(trimmed)} is not a hexadecimal number of {bits} bits");
        }

        return value;
    }

    /// <summary>Reads a decimal number.</summary>
    /// <exception cref="ApertureException">It is something else, or not within the bounds.</exception>
    internal static int Decimal(string text, int smallest, int largest, string place)
    {
        string trimmed = text.Trim();
        if (!int.TryParse(trimmed, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) || value < smallest || value > largest)
        {
            throw new ApertureException($"{place}: {Quote(trimmed)} is not a number from {smallest} to {largest}");
        }

        return value;
    }

    /// <summary>Reads <c>resource</c>: a line of first, last and flags for each BAR, the ROM, the VF BARs and the windows.</summary>
    /// <exception cref="ApertureException">A line is something else.</exception>
    internal static List<RawResource> Resources(string text, string place)
    {
        // The kernel has 18 at most; room for more kinds to come.
        const int MostLines = 64;
        List<RawResource> lines = [];
        foreach (string line in Lines(text))
        {
            string where = $"{place} line {lines.Count + 1}";
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 3 || lines.Count == MostLines)
            {
                throw new ApertureException($"{where}: {Quote(line)} is not the first address, last address and flags of a resource");
            }

            RawResource resource = new(Hex(words[0], 64, where), Hex(words[1], 64, where), Hex(words[2], 64, where));

            // Last = first - 1 is how an empty resource looks; anything lower is damage.
            if (resource.Flags != 0 && resource.Last < resource.First && resource.Last != resource.First - 1)
            {
                throw new ApertureException($"{where}: the last address 0x{resource.Last:x} lies below the first, 0x{resource.First:x}");
            }

            lines.Add(resource);
        }

        return lines;
    }

    /// <summary>Reads <c>reserved_regions</c>: a line of first, last and type each.</summary>
    /// <exception cref="ApertureException">A line is something else.</exception>
    internal static List<HostReservedRegion> ReservedRegions(string text, string place)
    {
        List<HostReservedRegion> regions = [];
        foreach (string line in Lines(text))
        {
            string where = $"{place} line {regions.Count + 1}";
            string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 3)
            {
                throw new ApertureException($"{where}: {Quote(line)} is not the first address, last address and type of a reserved region");
            }

            ulong first = Hex(words[0], 64, where);
            ulong last = Hex(words[1], 64, where);
            if (last < first || last - first == ulong.MaxValue)
            {
                throw new ApertureException($"{where}: 0x{first:x} to 0x{last:x} is not a range");
            }

            regions.Add(new HostReservedRegion(new AddressRange(new GuestAddress(first), last - first + 1), words[2]));
        }

        return regions;
    }

    /// <summary>A piece of a damaged file for a message: short, printable, in quotes.</summary>
    internal static string Quote(string text)
    {
        const int Shown = 120;
        StringBuilder quoted = new("'");
        foreach (char c in text.AsSpan(0, Math.Min(text.Length, Shown)))
        {
            quoted.Append(c is >= ' ' and <= '~' ? c : '?');
        }

        return quoted.Append(text.Length > Shown ? "...'" : "'").ToString();
    }

    private static string[] Lines(string text) =>
        text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
}
