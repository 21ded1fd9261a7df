using System.Globalization;
using System.Text;

namespace Aperture.Emission;

/// <summary>How names and values are made safe for each format.</summary>
internal static class Words
{
    private const string ShellPlain = "_./:=,@%+-";

    /// <summary>The text without what would end a line, steer a terminal, or be no character at all; each such becomes <c>?</c>.</summary>
    public static string Plain(string text)
    {
        StringBuilder plain = new(text.Length);
        foreach (char c in text)
        {
            bool unsafeHere = char.IsControl(c) || char.IsSurrogate(c) || c is '\u2028' or '\u2029' or >= '\uFFFE'
                || char.GetUnicodeCategory(c) == UnicodeCategory.Format;
            plain.Append(unsafeHere ? '?' : c);
        }

        return plain.ToString();
    }

    /// <summary>One word for a POSIX shell: as it is when nothing in it means anything to a shell, else in single quotes.</summary>
    public static string Shell(string word) => word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || ShellPlain.Contains(c))
        ? word
        : $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";

    /// <summary>Text for an XML element or a quoted attribute.</summary>
    public static string Xml(string text) => Plain(text)
        .Replace("&", "&amp;", StringComparison.Ordinal)
        .Replace("<", "&lt;", StringComparison.Ordinal)
        .Replace(">", "&gt;", StringComparison.Ordinal)
        .Replace("'", "&apos;", StringComparison.Ordinal)
        .Replace("\"", "&quot;", StringComparison.Ordinal);

    /// <summary>
    /// An identifier that every monitor here takes: a letter, then letters, digits, <c>-</c>, <c>_</c> and, unless <paramref name="dots"/> says no, <c>.</c>.
    /// </summary>
    public static string Identifier(string name, bool dots)
    {
        StringBuilder id = new();
        foreach (char c in name)
        {
            id.Append(char.IsAsciiLetterOrDigit(c) || c is '-' or '_' || (dots && c == '.') ? c : '_');
        }

        return id.Length > 0 && char.IsAsciiLetter(id[0]) ? id.ToString() : $"f{id}";
    }

    /// <summary>A hexadecimal number with <c>0x</c>, at least <paramref name="digits"/> wide.</summary>
    public static string Hex(ulong value, int digits = 1) => "0x" + value.ToString($"x{digits}", CultureInfo.InvariantCulture);
}
