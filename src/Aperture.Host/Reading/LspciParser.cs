using System.Globalization;
using Aperture.Host.Model;

namespace Aperture.Host.Reading;

/// <summary>
/// Reads the text of <c>lspci</c>: a hex dump, the lines of <c>-v</c> or <c>-vv</c>, or both; with or without <c>-n</c>, <c>-nn</c>, <c>-k</c> and <c>-D</c>.
/// Several listings of one machine may follow each other. Lines that belong to no function (prompts, warnings) are passed over, and so are margins of a paste.
/// </summary>
internal sealed class LspciParser
{
    private readonly string _name;
    private readonly SortedDictionary<PciAddress, LspciFunction> _functions = [];
    private LspciFunction? _current;
    private string _margin = "";
    private string _unfinished = "";
    private int _lineNumber;

    private LspciParser(string name) => _name = name;

    /// <summary>Reads a listing; <paramref name="name"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">A hex dump is damaged, a function has neither a dump nor lines of <c>-v</c>, or there is no function at
    /// all.</exception>
    internal static RawHost Read(string text, string name)
    {
        LspciParser parser = new(name);
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
        {
            parser._lineNumber++;
            parser.ReadWhole(line);
        }

        parser.ReadLine(parser._unfinished);
        parser.EndFunction();
        return parser.Finish();
    }

    private RawHost Finish()
    {
        RawHost host = new() { Origin = new HostOrigin(HostOriginKind.LspciDump, _name) };
        bool tellsSizes = _functions.Values.Any(static function => function.Raw.Regions.Exists(static region => region.Size is not null));
        foreach (LspciFunction function in _functions.Values)
        {
            host.Functions.Add(function.Finish());
            function.Text.TellsSizes = tellsSizes;
            host.KnowsIommuGroups |= function.Raw.IommuGroup is not null;
        }

        foreach (IGrouping<int, RawFunction> group in host.Functions.Where(f => f.IommuGroup is not null).GroupBy(f => f.IommuGroup!.Value).OrderBy(g => g.Key))
        {
            host.Groups.Add(new RawGroup(group.Key, [.. group.Select(f => f.Address)], []));
        }

        return host.Functions.Count != 0
            ? host
            : throw new ApertureException($"{_name}: holds no function: give it the output of 'lspci -Dvvxxxx', a captured sysfs tree or an archive of one");
    }

    /// <summary>Takes a line of the file; one that a message to standard error broke in two is put together again.</summary>
    private void ReadWhole(ReadOnlySpan<char> line)
    {
        if (line.Length + _unfinished.Length > HostLimits.Line)
        {
            throw new ApertureException($"{_name} line {_lineNumber}: has {line.Length} characters, where lspci writes a few hundred at most");
        }

        if (_unfinished.Length != 0)
        {
            line = _unfinished + line.ToString();
            _unfinished = "";
        }

        int message = LspciText.MessageStart(line);
        if (message < 0)
        {
            ReadLine(line);
            return;
        }

        // Before the first function, only what may be the start of one is worth keeping.
        int start = LspciText.MarginOf(line);
        if (start < message && (_current is not null || char.IsAsciiHexDigit(line[start])))
        {
            _unfinished = line[..message].ToString();
        }
    }

    private void ReadLine(ReadOnlySpan<char> line)
    {
        int start = LspciText.MarginOf(line);
        ReadOnlySpan<char> bare = line[start..];
        if (bare.Trim().IsEmpty)
        {
            EndFunction();
        }
        else if (IsHeader(bare, out PciAddress address, out ReadOnlySpan<char> rest))
        {
            EndFunction();
            _margin = line[..start].ToString();
            _current = new LspciFunction(address, _name, _lineNumber);
            _current.ReadHeader(rest);
        }
        else if (IsHexLine(bare, out int offset, out ReadOnlySpan<char> bytes) && (StandsAtMargin(line, start) || StartsWithByte(bytes)))
        {
            string where = $"{_name} line {_lineNumber}";
            (_current ?? throw new ApertureException($"{where}: hex bytes stand before any function")).ReadHex(offset, bytes, where);
        }
        else
        {
            _current?.ReadDetail(bare.TrimEnd());
        }
    }

    /// <summary>True when the line begins where the headers of the listing do.</summary>
    private bool StandsAtMargin(ReadOnlySpan<char> line, int start) => start == 0 || line[..start].SequenceEqual(_margin);

    private static bool StartsWithByte(ReadOnlySpan<char> bytes) =>
        bytes.Length >= 2 && char.IsAsciiHexDigit(bytes[0]) && char.IsAsciiHexDigit(bytes[1]) && (bytes.Length == 2 || bytes[2] == ' ');

    private void EndFunction()
    {
        if (_current is null)
        {
            return;
        }

        _current.CheckLength();
        if (_functions.TryGetValue(_current.Raw.Address, out LspciFunction? earlier))
        {
            earlier.Merge(_current);
        }
        else
        {
            _functions.Add(_current.Raw.Address, _current);
            if (_functions.Count > HostLimits.Functions)
            {
                throw new ApertureException($"{_name}: describes more than {HostLimits.Functions} PCI functions");
            }
        }

        _current = null;
    }

    /// <summary>A line of the dump: two or three hexadecimal digits of offset, a colon, a blank, bytes.</summary>
    private static bool IsHexLine(ReadOnlySpan<char> line, out int offset, out ReadOnlySpan<char> bytes)
    {
        offset = 0;
        bytes = default;
        int colon = line.IndexOf(':');
        if (colon is not (2 or 3) || line.Length < colon + 2 || line[colon + 1] != ' '
            || !int.TryParse(line[..colon], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out offset))
        {
            return false;
        }

        bytes = line[(colon + 2)..];
        return true;
    }

    private static bool IsHeader(ReadOnlySpan<char> line, out PciAddress address, out ReadOnlySpan<char> rest)
    {
        int blank = line.IndexOf(' ');
        rest = blank < 0 ? [] : line[(blank + 1)..];
        return PciAddress.TryParse(blank < 0 ? line : line[..blank], out address);
    }
}
