using System.Globalization;
using Aperture.Host.Model;

namespace Aperture.Host.Reading;

/// <summary>
/// Reads the text of <c>lspci</c>: a hex dump, the lines of <c>-v</c> or <c>-vv</c>, or both; with or without <c>-n</c>, <c>-nn</c>, <c>-k</c> and <c>-D</c>.
/// Several listings of one machine may follow each other. Lines that belong to no function (prompts, warnings) are passed over, and so are margins of a paste.
/// </summary>
internal sealed class LspciParser
{
    private readonly string name;
    private readonly SortedDictionary<PciAddress, LspciFunction> functions = [];
    private LspciFunction? current;
    private string margin = "";
    private string unfinished = "";
    private int lineNumber;

    private LspciParser(string name) => this.name = name;

    /// <summary>Reads a listing; <paramref name="name"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">A hex dump is damaged, a function has neither a dump nor lines of <c>-v</c>, or there is no function at all.</exception>
    internal static RawHost Read(string text, string name)
    {
        LspciParser parser = new(name);
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
        {
            parser.lineNumber++;
            parser.ReadWhole(line);
        }

        parser.ReadLine(parser.unfinished);
        parser.EndFunction();
        return parser.Finish();
    }

    private RawHost Finish()
    {
        RawHost host = new() { Origin = new HostOrigin(HostOriginKind.LspciDump, name) };
        bool tellsSizes = functions.Values.Any(static function => function.Raw.Regions.Exists(static region => region.Size is not null));
        foreach (LspciFunction function in functions.Values)
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
            : throw new ApertureException($"{name}: holds no function: give it the output of 'lspci -Dvvxxxx', a captured sysfs tree or an archive of one");
    }

    /// <summary>Takes a line of the file; one that a message to standard error broke in two is put together again.</summary>
    private void ReadWhole(ReadOnlySpan<char> line)
    {
        if (line.Length + unfinished.Length > HostLimits.Line)
        {
            throw new ApertureException($"{name} line {lineNumber}: has {line.Length} characters, where lspci writes a few hundred at most");
        }

        if (unfinished.Length != 0)
        {
            line = unfinished + line.ToString();
            unfinished = "";
        }

        int message = LspciText.MessageStart(line);
        if (message < 0)
        {
            ReadLine(line);
            return;
        }

        // Before the first function, only what may be the start of one is worth keeping.
        int start = LspciText.MarginOf(line);
        if (start < message && (current is not null || char.IsAsciiHexDigit(line[start])))
        {
            unfinished = line[..message].ToString();
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
            margin = line[..start].ToString();
            current = new LspciFunction(address, name, lineNumber);
            current.ReadHeader(rest);
        }
        else if (IsHexLine(bare, out int offset, out ReadOnlySpan<char> bytes) && (StandsAtMargin(line, start) || StartsWithByte(bytes)))
        {
            string where = $"{name} line {lineNumber}";
            (current ?? throw new ApertureException($"{where}: hex bytes stand before any function")).ReadHex(offset, bytes, where);
        }
        else
        {
            current?.ReadDetail(bare.TrimEnd());
        }
    }

    /// <summary>True when the line begins where the headers of the listing do.</summary>
    private bool StandsAtMargin(ReadOnlySpan<char> line, int start) => start == 0 || line[..start].SequenceEqual(margin);

    private static bool StartsWithByte(ReadOnlySpan<char> bytes) =>
        bytes.Length >= 2 && char.IsAsciiHexDigit(bytes[0]) && char.IsAsciiHexDigit(bytes[1]) && (bytes.Length == 2 || bytes[2] == ' ');

    private void EndFunction()
    {
        if (current is null)
        {
            return;
        }

        current.CheckLength();
        if (functions.TryGetValue(current.Raw.Address, out LspciFunction? earlier))
        {
            earlier.Merge(current);
        }
        else
        {
            functions.Add(current.Raw.Address, current);
            if (functions.Count > HostLimits.Functions)
            {
                throw new ApertureException($"{name}: describes more than {HostLimits.Functions} PCI functions");
            }
        }

        current = null;
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
