using System.Globalization;
using Aperture.Host.Model;

namespace Aperture.Host.Reading;

/// <summary>
/// Reads the text of <c>lspci</c> with a hex dump, with or without <c>-v</c>, <c>-vv</c>, <c>-n</c>, <c>-nn</c>, <c>-k</c> and <c>-D</c>; several dumps of one machine
/// may follow each other. Lines that belong to no function (prompts, warnings) are passed over.
/// </summary>
internal sealed class LspciParser
{
    private readonly string name;
    private readonly SortedDictionary<PciAddress, LspciFunction> functions = [];
    private LspciFunction? current;
    private int lineNumber;

    private LspciParser(string name) => this.name = name;

    /// <summary>Reads a dump; <paramref name="name"/> is its name in messages.</summary>
    /// <exception cref="ApertureException">A hex dump is damaged or missing, or there is no function at all.</exception>
    internal static RawHost Read(string text, string name)
    {
        LspciParser parser = new(name);
        foreach (ReadOnlySpan<char> line in text.AsSpan().EnumerateLines())
        {
            parser.lineNumber++;
            if (line.Length > HostLimits.Line)
            {
                throw new ApertureException($"{name} line {parser.lineNumber}: has {line.Length} characters, where lspci writes a few hundred at most");
            }

            parser.ReadLine(line);
        }

        parser.EndFunction();
        RawHost host = new() { Origin = new HostOrigin(HostOriginKind.LspciDump, name) };
        foreach (LspciFunction function in parser.functions.Values)
        {
            host.Functions.Add(function.Finish());
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

    private void ReadLine(ReadOnlySpan<char> line)
    {
        if (line.Trim().IsEmpty)
        {
            EndFunction();
        }
        else if (line[0] is '\t' or ' ')
        {
            current?.ReadDetail(line);
        }
        else if (IsHexLine(line, out int offset, out ReadOnlySpan<char> bytes))
        {
            string where = $"{name} line {lineNumber}";
            (current ?? throw new ApertureException($"{where}: hex bytes stand before any function")).ReadHex(offset, bytes, where);
        }
        else if (IsHeader(line, out PciAddress address, out ReadOnlySpan<char> rest))
        {
            EndFunction();
            current = new LspciFunction(address, name, lineNumber);
            current.ReadHeader(rest);
        }
    }

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
