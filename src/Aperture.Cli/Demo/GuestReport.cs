using System.Globalization;
using System.Text.RegularExpressions;
using Aperture.Pci;

namespace Aperture.Cli.Demo;

/// <summary>What the guest printed: the regions of its own lspci, and what touching them gave. The lines are described in docs/lab.md.</summary>
internal sealed partial class GuestReport
{
    private const string Mark = "APERTURE ";
    private readonly Dictionary<(string Bdf, int Bar), GuestAddress> _regions = [];
    private readonly Dictionary<(string Bdf, int Bar), string> _touched = [];
    private readonly Dictionary<string, string> _interrupts = [];

    /// <summary>The guest's kernel, once it is up.</summary>
    public string? Kernel { get; private set; }

    /// <summary>True when the guest's script came to its end.</summary>
    public bool IsComplete { get; private set; }

    /// <summary>Reads a serial log; what is not known is passed over.</summary>
    public static GuestReport Read(IEnumerable<string> lines)
    {
        GuestReport report = new();
        string section = "";
        string function = "";
        foreach (string line in lines)
        {
            // The first line of a kernel may follow what UEFI did to the terminal.
            string text = Terminal().Replace(line, "").TrimEnd('\r', ' ');
            if (text.StartsWith(Mark, StringComparison.Ordinal))
            {
                section = report.TakeLine(text[Mark.Length..].Split(' '), section);
            }
            else if (section == "lspci")
            {
                function = report.TakeLspci(text, function);
            }
        }

        return report;
    }

    /// <summary>Where the guest's lspci saw a BAR, or null.</summary>
    public GuestAddress? Region(Bdf bdf, int bar) => _regions.TryGetValue((Name(bdf), bar), out GuestAddress address) ? address : null;

    /// <summary>What touching a BAR gave: <c>ok</c>, <c>wrong</c>, or null when it was not touched.</summary>
    public string? Touched(Bdf bdf, int bar) => _touched.GetValueOrDefault((Name(bdf), bar));

    /// <summary>What the interrupt check of a function gave, such as <c>msix ok</c>; null without one.</summary>
    public string? Interrupt(Bdf bdf) => _interrupts.GetValueOrDefault(Name(bdf));

    private static string Name(Bdf bdf) => $"0000:{bdf}";

    private string TakeLine(string[] words, string section)
    {
        switch (words)
        {
            case ["up", string kernel, ..]:
                Kernel = kernel;
                break;
            case ["done"]:
                IsComplete = true;
                break;
            case ["begin", string name]:
                return name;
            case ["end", ..]:
                return "";
            case ["touch", string bdf, string bar, _, _, _, string result, ..] when int.TryParse(bar, out int index):
                _touched[(bdf, index)] = result;
                break;
            case ["irq", string bdf, string kind, string result, ..]:
                _interrupts[bdf] = $"{kind} {result}";
                break;
        }

        return section;
    }

    private string TakeLspci(string line, string function)
    {
        if (line.Length > 0 && !char.IsWhiteSpace(line[0]))
        {
            return line.Split(' ')[0];
        }

        Match match = RegionLine().Match(line);
        if (match.Success && ulong.TryParse(match.Groups["address"].ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong address))
        {
            int bar = match.Groups["bar"].Success ? int.Parse(match.Groups["bar"].ValueSpan, CultureInfo.InvariantCulture) : BarKinds.RomIndex;
            _regions[(function, bar)] = new GuestAddress(address);
        }

        return function;
    }

    [GeneratedRegex(@"^(\e\[[=?]?[0-9;]*[A-Za-z])+")]
    private static partial Regex Terminal();

    [GeneratedRegex(@"^\s+(Region (?<bar>[0-5]): (Memory|I/O ports)|Expansion ROM) at (?<address>[0-9a-f]+)")]
    private static partial Regex RegionLine();
}
