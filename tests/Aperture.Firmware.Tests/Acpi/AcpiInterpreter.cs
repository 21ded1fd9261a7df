using System.Globalization;
using System.Text.RegularExpressions;

namespace Aperture.Firmware.Tests.Acpi;

/// <summary>What a method returned: exactly one of the three is set.</summary>
internal sealed record AcpiObject(ulong? Integer, byte[]? Buffer, AcpiObject[]? Package);

/// <summary>Evaluates objects of a DSDT with ACPICA's interpreter and reads its printed results back.</summary>
internal static partial class AcpiInterpreter
{
    public static void SkipUnlessPresent() =>
        Assert.SkipUnless(AcpiTools.Have("acpiexec"), "acpiexec is not installed (Debian package acpica-tools)");

    /// <summary>One result for each of <paramref name="evaluations"/>: a path and arguments in acpiexec's spelling.</summary>
    public static List<AcpiObject> Evaluate(ReadOnlySpan<byte> dsdt, params string[] evaluations)
    {
        using AcpiTools tools = new();
        string commands = string.Join(";", evaluations.Select(static what => "evaluate " + what));
        (_, string output) = tools.Run("acpiexec", "-b", commands, tools.Save("dsdt.aml", dsdt));
        Assert.DoesNotMatch("ACPI (BIOS )?(Error|Warning)|failed with status", output);

        List<AcpiObject> results = [];
        Lines lines = new(output);
        while (lines.SkipPast("Evaluation of "))
        {
            results.Add(Read(lines));
        }

        Assert.Equal(evaluations.Length, results.Count);
        return results;
    }

    /// <summary>A buffer argument.</summary>
    public static string Argument(ReadOnlySpan<byte> bytes) =>
        "(" + string.Join(' ', Convert.ToHexString(bytes).Chunk(2).Select(static pair => new string(pair))) + ")";

    private static AcpiObject Read(Lines lines)
    {
        string line = lines.Next();
        if (Integer().Match(line) is { Success: true } integer)
        {
            return new AcpiObject(ulong.Parse(integer.Groups[1].ValueSpan, NumberStyles.HexNumber), null, null);
        }

        if (Package().Match(line) is { Success: true } package)
        {
            int count = int.Parse(package.Groups[1].ValueSpan);
            return new AcpiObject(null, null, [.. Enumerable.Range(0, count).Select(_ => Read(lines))]);
        }

        Match buffer = Buffer().Match(line);
        Assert.True(buffer.Success, line);
        int length = int.Parse(buffer.Groups[1].ValueSpan, NumberStyles.HexNumber);
        List<byte> bytes = [];
        string rest = buffer.Groups[2].Value;
        while (bytes.Count < length)
        {
            if (Dump().Match(rest) is { Success: true } row)
            {
                bytes.AddRange(Convert.FromHexString(row.Groups[1].Value.Replace(" ", "")));
            }

            if (bytes.Count < length)
            {
                rest = lines.Next();
            }
        }

        return new AcpiObject(null, [.. bytes], null);
    }

    [GeneratedRegex(@"\[Integer\] = ([0-9A-F]+)")]
    private static partial Regex Integer();

    [GeneratedRegex(@"\[Package\] Contains (\d+) Elements")]
    private static partial Regex Package();

    [GeneratedRegex(@"\[Buffer\] Length ([0-9A-F]+) =(.*)")]
    private static partial Regex Buffer();

    [GeneratedRegex(@"[0-9A-F]{4}: ((?:[0-9A-F]{2} ?)+)")]
    private static partial Regex Dump();

    private sealed class Lines(string text)
    {
        private readonly string[] _lines = text.Split('\n');
        private int _next;

        public string Next() => _lines[_next++];

        public bool SkipPast(string start)
        {
            while (_next < _lines.Length)
            {
                if (_lines[_next++].StartsWith(start, StringComparison.Ordinal))
                {
                    return true;
                }
            }

            return false;
        }
    }
}
