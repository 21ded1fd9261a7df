using System.Globalization;

namespace Aperture.Host.Reading;

/// <summary>Finds words and numbers in a line of lspci's.</summary>
internal static class LspciScan
{
    /// <summary>True when the line begins with <paramref name="label"/>; <paramref name="rest"/> is what follows.</summary>
    internal static bool After(ReadOnlySpan<char> line, string label, out ReadOnlySpan<char> rest)
    {
        bool starts = line.StartsWith(label, StringComparison.Ordinal);
        rest = starts ? line[label.Length..] : default;
        return starts;
    }

    /// <summary>All of <paramref name="text"/> as a hexadecimal number; null when it is none.</summary>
    internal static ulong? Hex(ReadOnlySpan<char> text) =>
        ulong.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value) ? value : null;

    /// <summary>The decimal number that follows <paramref name="label"/> anywhere in the line; null when the label or the number is not there.</summary>
    internal static int? Number(ReadOnlySpan<char> line, string label)
    {
        int at = line.IndexOf(label, StringComparison.Ordinal);
        return at >= 0 && int.TryParse(Digits(line[(at + label.Length)..]), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
    }

    /// <summary>Whether the flag <paramref name="name"/> is followed by a plus or a minus; null when it is not there.</summary>
    internal static bool? Flag(ReadOnlySpan<char> line, string name)
    {
        int at = line.IndexOf(name, StringComparison.Ordinal);
        int sign = at + name.Length;
        return at < 0 || sign >= line.Length ? null : line[sign] switch { '+' => true, '-' => false, _ => null };
    }

    private static ReadOnlySpan<char> Digits(ReadOnlySpan<char> text)
    {
        int end = 0;
        while (end < text.Length && char.IsAsciiDigit(text[end]))
        {
            end++;
        }

        return text[..end];
    }
}
