using System.Text;

namespace Aperture.Host.Reading;

/// <summary>
/// Makes the lines that lspci wrote out of a text that people sent: byte order marks and UTF-16, quotes of a mail, and messages to standard error
/// that went to the same file. Those stand on lines of their own or, since lspci's own output is written in blocks, in the middle of a line, which goes on
/// after them.
/// </summary>
internal static class LspciText
{
    private static readonly string[] Messages = ["pcilib: ", "lspci: "];

    /// <summary>The text of a file's bytes; what is no character becomes U+FFFD, and a blank that web pages put in becomes one.</summary>
    internal static string Decode(ReadOnlySpan<byte> content)
    {
        Encoding encoding = content switch
        {
            [0xFF, 0xFE, ..] => Encoding.Unicode,
            [0xFE, 0xFF, ..] => Encoding.BigEndianUnicode,
            _ => Encoding.UTF8,
        };
        return encoding.GetString(content).TrimStart('\uFEFF').Replace('\u00A0', ' ');
    }

    /// <summary>
    /// How many characters of <paramref name="line"/> are lspci's own, when a message of standard error begins behind them; -1 when none does.
    /// </summary>
    internal static int MessageStart(ReadOnlySpan<char> line)
    {
        int first = -1;
        foreach (string message in Messages)
        {
            int at = line.IndexOf(message, StringComparison.Ordinal);
            first = at >= 0 && (first < 0 || at < first) ? at : first;
        }

        return first;
    }

    /// <summary>How many characters stand before what lspci wrote: blanks, tabs and the marks of quoted mail.</summary>
    internal static int MarginOf(ReadOnlySpan<char> line)
    {
        int at = 0;
        while (at < line.Length && line[at] is ' ' or '\t' or '>' or '|')
        {
            at++;
        }

        return at;
    }
}
