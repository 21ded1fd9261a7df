using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Aperture.Pci;

namespace Aperture.Host.Reading;

/// <summary>
/// Reads a region line: <c>Region 0: Memory at fb400000 (64-bit, non-prefetchable) [size=4M]</c>, without the number in plain <c>-v</c>; also
/// <c>I/O ports at</c>, <c>Expansion ROM at</c>, <c>[virtual]</c> before or after, and <c>&lt;unassigned&gt;</c> or another word for the address.
/// </summary>
internal static class LspciRegion
{
    private const string Virtual = "[virtual] ";

    /// <summary>Reads <paramref name="text"/>, a line without its indent.</summary>
    internal static bool TryParse(ReadOnlySpan<char> text, [NotNullWhen(true)] out RawRegion? region)
    {
        region = null;
        int index = -1;
        if (text.StartsWith("Region ", StringComparison.Ordinal))
        {
            if (text.Length < 11 || text[8] != ':' || text[7] is < '0' or > '5')
            {
                return false;
            }

            index = text[7] - '0';
            text = text[10..];
        }

        Skip(ref text, Virtual);
        bool isIo = Skip(ref text, "I/O ports at ");
        bool isRom = !isIo && Skip(ref text, "Expansion ROM at ");
        if (!isIo && !isRom && !Skip(ref text, "Memory at "))
        {
            return false;
        }

        int blank = text.IndexOf(' ');
        ReadOnlySpan<char> word = blank < 0 ? text : text[..blank];
        ulong? address = ulong.TryParse(word, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong value) && value != 0 ? value : null;
        ReadOnlySpan<char> flags = blank < 0 ? [] : text[blank..];
        region = new RawRegion(
            isRom ? BarKinds.RomIndex : index,
            isRom,
            isIo,
            flags.Contains("64-bit", StringComparison.Ordinal),
            flags.Contains("prefetchable", StringComparison.Ordinal) && !flags.Contains("non-prefetchable", StringComparison.Ordinal),
            address,
            Size(flags))
        {
            // "[disabled]", and "[disabled by cmd]" for ROMs.
            IsDisabled = flags.Contains("[disabled", StringComparison.Ordinal),
        };
        return true;
    }

    private static ulong? Size(ReadOnlySpan<char> flags)
    {
        const string Label = "[size=";
        int at = flags.IndexOf(Label);
        if (at < 0)
        {
            return null;
        }

        ReadOnlySpan<char> rest = flags[(at + Label.Length)..];
        int end = rest.IndexOf(']');
        return end > 0 && ByteSize.TryParse(rest[..end], out ulong size) && size != 0 ? size : null;
    }

    private static bool Skip(ref ReadOnlySpan<char> text, string prefix)
    {
        bool starts = text.StartsWith(prefix, StringComparison.Ordinal);
        if (starts)
        {
            text = text[prefix.Length..];
        }

        return starts;
    }
}
