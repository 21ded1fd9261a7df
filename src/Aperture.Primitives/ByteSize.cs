using System.Globalization;

namespace Aperture;

/// <summary>Reads and writes sizes as users spell them: a decimal or <c>0x</c> number with an optional K, M, G or T (powers of 1024).</summary>
public static class ByteSize
{
    private const string Suffixes = "KMGT";

    /// <summary>
    /// Reads a size in bytes. Accepts <c>64G</c>, <c>64GiB</c>, <c>4096</c>, <c>0x1000</c>; refuses signs, fractions, blanks and anything past 2^64 - 1.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> text, out ulong bytes)
    {
        bytes = 0;
        int shift = 0;
        bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        if (!hex && text.EndsWith("iB", StringComparison.OrdinalIgnoreCase))
        {
            text = text[..^2];
            if (text.IsEmpty || !char.IsAsciiLetter(text[^1]))
            {
                return false;
            }
        }

        if (!text.IsEmpty)
        {
            int power = Suffixes.IndexOf(char.ToUpperInvariant(text[^1]));
            if (power >= 0)
            {
                shift = 10 * (power + 1);
                text = text[..^1];
            }
        }

        if (!TryParseNumber(text, out ulong number) || (shift != 0 && number >> (64 - shift) != 0))
        {
            return false;
        }

        bytes = number << shift;
        return true;
    }

    /// <summary>Reads an unsigned number, decimal or with <c>0x</c>; digits only, no signs, blanks or separators.</summary>
    public static bool TryParseNumber(ReadOnlySpan<char> text, out ulong number) =>
        text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
            ? ulong.TryParse(text[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number)
            : ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out number);

    /// <summary>The size in the largest unit that divides it: <c>64G</c>, <c>1536M</c>, <c>256</c>.</summary>
    public static string Format(ulong bytes)
    {
        int power = 0;
        while (power < Suffixes.Length && bytes != 0 && (bytes & 1023) == 0)
        {
            bytes >>= 10;
            power++;
        }

        string digits = bytes.ToString(CultureInfo.InvariantCulture);
        return power == 0 ? digits : digits + Suffixes[power - 1];
    }
}
