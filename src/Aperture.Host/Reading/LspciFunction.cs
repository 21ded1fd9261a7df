using System.Globalization;

namespace Aperture.Host.Reading;

/// <summary>One function of an lspci dump while it is read.</summary>
internal sealed class LspciFunction
{
    private const int BytesPerLine = 16;
    private const string Unreadable = "??";
    private readonly List<byte> _config = [];
    private readonly LspciDetails _details;
    private readonly string _source;
    private readonly int _line;
    private int _readable = -1;

    internal LspciFunction(PciAddress address, string source, int line)
    {
        _source = source;
        _line = line;
        Raw = new RawFunction { Address = address, Place = $"{source} line {line}" };
        _details = new LspciDetails(Raw);
    }

    /// <summary>What was found so far.</summary>
    internal RawFunction Raw { get; }

    /// <summary>What lines of <c>-v</c> said so far.</summary>
    internal RawText Text => Raw.Text!;

    /// <summary>Reads what follows the address: with <c>-n</c> the class and ids as numbers, with <c>-nn</c> in brackets at the ends of the names.</summary>
    internal void ReadHeader(ReadOnlySpan<char> text)
    {
        uint progIf = Inside(text, "(prog-if ") is { Length: >= 2 } number && TryHex(number[..2], out uint value) ? value : 0;
        Raw.Revision = Inside(text, "(rev ") is { Length: 2 } revision && TryHex(revision, out value) ? (byte)value : null;

        // -n: "0600: 8086:0d57 (rev 01)".
        if (text.Length >= 15 && text[4] == ':' && text[5] == ' ' && TryHex(text[..4], out uint classCode) && TryIds(text.Slice(6, 9)))
        {
            Raw.ClassCode = classCode << 8 | progIf;
            return;
        }

        // -nn: "Host bridge [0600]: Intel Corporation Device [8086:0d57]"; a name may hold brackets too, so the last pair of ids counts.
        for (int open = text.LastIndexOf('['); open >= 0; open = text[..open].LastIndexOf('['))
        {
            if (text.Length >= open + 11 && text[open + 10] == ']' && TryIds(text.Slice(open + 1, 9)))
            {
                break;
            }
        }

        int classAt = text.IndexOf('[');
        if (classAt >= 0 && text.Length >= classAt + 6 && text[classAt + 5] == ']' && TryHex(text.Slice(classAt + 1, 4), out classCode))
        {
            Raw.ClassCode = classCode << 8 | progIf;
        }
        else if (LspciNames.ClassOf(text) is { } named)
        {
            Raw.ClassCode = named << 8 | progIf;
        }
    }

    /// <summary>Reads a line of <c>-v</c> without its indent; what is not needed is passed over.</summary>
    internal void ReadDetail(ReadOnlySpan<char> text) => _details.Read(text);

    /// <summary>Reads a line of the dump.</summary>
    /// <exception cref="ApertureException">It does not continue the line before, or holds something that is not a byte.</exception>
    internal void ReadHex(int offset, ReadOnlySpan<char> text, string where)
    {
        if (offset != _config.Count)
        {
            throw new ApertureException($"{where}: the dump of {Raw.Address} goes on at 0x{offset:x} after 0x{_config.Count:x} bytes");
        }

        int count = 0;
        foreach (Range part in text.Split(' '))
        {
            ReadOnlySpan<char> word = text[part];
            if (word.IsWhiteSpace())
            {
                continue;
            }

            byte value = 0xFF;
            bool known = !word.SequenceEqual(Unreadable);
            if (++count > BytesPerLine || _config.Count == HostLimits.Config
                || (known && (word.Length != 2 || !byte.TryParse(word, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value))))
            {
                throw new ApertureException(
                    $"{where}: {SysfsText.Quote(word.ToString())} is not one of the {BytesPerLine} bytes of a dump line of {Raw.Address}");
            }

            if (!known && _readable < 0)
            {
                _readable = _config.Count;
            }

            _config.Add(value);
        }
    }

    /// <summary>Refuses a dump that was cut off.</summary>
    /// <exception cref="ApertureException">It has a length that lspci never writes.</exception>
    internal void CheckLength()
    {
        if (!ConfigLength.IsKnown(_config.Count))
        {
            throw new ApertureException(
                $"{_source} line {_line}: the dump of {Raw.Address} ends after {_config.Count} bytes, where lspci writes 64, 128, 256 or 4096");
        }

        // Bytes that could not be read end what is known, at the size below.
        if (_readable >= 0)
        {
            int whole = _readable >= 256 ? 256 : _readable >= 64 ? 64 : 0;
            _config.RemoveRange(whole, _config.Count - whole);
            _readable = -1;
        }
    }

    /// <summary>Takes over what another dump of the same function adds.</summary>
    /// <exception cref="ApertureException">The two are of different devices.</exception>
    internal void Merge(LspciFunction other)
    {
        if (_config.Count != 0 && other._config.Count != 0 && !_config.Take(4).SequenceEqual(other._config.Take(4)))
        {
            throw new ApertureException(
                $"{_source} line {other._line}: {Raw.Address} was another device on line {_line}: the dumps are of two machines, or of one that changed");
        }

        if (other._config.Count > _config.Count)
        {
            _config.Clear();
            _config.AddRange(other._config);
        }

        if (Raw.Regions.Count == 0 || other.Raw.Regions.Exists(static region => region.Index >= 0))
        {
            Raw.Regions.Clear();
            Raw.Regions.AddRange(other.Raw.Regions);
        }

        // The listing that says more: -vv after -v, or one by root after one by a user.
        if (Score(other.Text) > Score(Text))
        {
            Raw.Text = other.Text;
        }

        Raw.Vendor ??= other.Raw.Vendor;
        Raw.SubsystemVendor ??= other.Raw.SubsystemVendor;
        Raw.Subsystem ??= other.Raw.Subsystem;
        Raw.Revision ??= other.Raw.Revision;
        Raw.Device ??= other.Raw.Device;
        Raw.ClassCode ??= other.Raw.ClassCode;
        Raw.Driver ??= other.Raw.Driver;
        Raw.NumaNode ??= other.Raw.NumaNode;
        Raw.IommuGroup ??= other.Raw.IommuGroup;
    }

    /// <summary>The function, complete.</summary>
    /// <exception cref="ApertureException">It has neither a dump nor lines of <c>-v</c>.</exception>
    internal RawFunction Finish()
    {
        Raw.Config = [.. _config];
        return _config.Count != 0 || Text.IsVerbose
            ? Raw
            : throw new ApertureException(
                $"{_source} line {_line}: {Raw.Address} has no readable hex dump and no lines of -v: make the listing with 'lspci -Dvvnnxxxx' (as root for all "
                    + "of it)");
    }

    private static int Score(RawText text) =>
        (text.IsVerbose ? 1 : 0) + (text.Command is not null ? 2 : 0) + (text.ShowsCapabilities ? 4 : 0) + (text.ShowsExtended ? 8 : 0);

    /// <summary>What stands between <paramref name="label"/> and the next closing parenthesis; empty when the label is not there.</summary>
    private static ReadOnlySpan<char> Inside(ReadOnlySpan<char> text, string label)
    {
        int at = text.LastIndexOf(label, StringComparison.Ordinal);
        ReadOnlySpan<char> rest = at < 0 ? [] : text[(at + label.Length)..];
        int end = rest.IndexOf(')');
        return end < 0 ? [] : rest[..end];
    }

    private bool TryIds(ReadOnlySpan<char> text)
    {
        if (text[4] != ':' || !TryHex(text[..4], out uint vendor) || !TryHex(text[5..], out uint device))
        {
            return false;
        }

        Raw.Vendor = (ushort)vendor;
        Raw.Device = (ushort)device;
        return true;
    }

    private static bool TryHex(ReadOnlySpan<char> text, out uint value) =>
        uint.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value);
}
