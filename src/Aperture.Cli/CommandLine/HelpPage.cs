using System.Text;
using Aperture.Configuration.Kinds;
using Aperture.Configuration.Options;

namespace Aperture.Cli.CommandLine;

/// <summary>Writes the help pages from the same tables that the parser reads, in lines of at most <paramref name="width"/> characters.</summary>
internal sealed class HelpPage(int width)
{
    private const int NarrowestText = 30;
    private const int WidestName = 24;
    private readonly StringBuilder _page = new();

    /// <summary>The page of <c>aperture --help</c>.</summary>
    public static string ForAll(IReadOnlyList<Verb> verbs, int width)
    {
        HelpPage page = new(width);
        page.Text("Aperture: a virtual machine monitor whose subject is the guest's physical address space.", 0);
        page.Line("").Line("Usage: aperture VERB [OPTIONS]").Line("").Line("Verbs:");
        page.Rows([.. verbs.Select(v => (v.Name, v.Summary))], 2);
        page.Line("").Text("aperture VERB --help lists a verb's options. --version prints the version.", 0);
        page.Text("Exit codes: the guest's own (odd), 0 after its power-off; 2 for a wrong command line, 3 when the host fails, 128 and more for a signal. "
            + "A failure is told from a guest's 3 by its line on standard error, which a guest's own code never has.", 0);
        return page._page.ToString();
    }

    /// <summary>The page of <c>aperture VERB --help</c>.</summary>
    public static string For(Verb verb, int width)
    {
        HelpPage page = new(width);
        page.Text($"aperture {verb.Name}: {verb.Summary}", 0);
        string rest = (verb.Operand is null ? "" : " " + verb.Operand) + (verb.Command is null ? "" : " -- " + verb.Command);
        page.Line("").Line($"Usage: aperture {verb.Name} [OPTIONS]{rest}").Line("");
        foreach (IGrouping<string?, OptionSpec> group in verb.Options.GroupBy(o => o.Group))
        {
            page.Line($"{group.Key ?? "Options"}:");
            foreach (OptionSpec option in group)
            {
                page.Option(option);
            }

            page.Line("");
        }

        // One line, however long: it is there to be copied.
        page.Line("Example:").Line("  " + verb.Example);
        return page._page.ToString();
    }

    private void Option(OptionSpec option)
    {
        Text(option.Value is null ? option.Name : $"{option.Name} {option.Value}", 2);
        Text(option.Help + (option.Alias is { } alias ? $" (also spelled {alias})" : "") + (option.Repeatable ? " (repeatable)" : ""), 6);
        if (option.Machine?.Table is { } table)
        {
            Entries(table, 6);
        }
        else if (option.Machine?.Name == "--device")
        {
            foreach (DeviceKind kind in DeviceKinds.All)
            {
                Text($"{kind.Word}: {kind.Help}", 6);
                Entries(kind.Table, 8);
            }
        }
    }

    private void Entries(OptionTable table, int indent) =>
        Rows([.. table.Entries.Where(e => e.Help.Length > 0).Select(e => ($"{e.Shown}={e.Form}", e.Help + (e.Required ? " (needed)" : "")))], indent);

    // Two columns; a name that is too wide for the first has a line of its own.
    private void Rows(IReadOnlyList<(string Left, string Right)> rows, int indent)
    {
        int column = rows.Where(r => r.Left.Length <= WidestName).Select(r => r.Left.Length).DefaultIfEmpty(0).Max();
        foreach ((string left, string right) in rows)
        {
            int start = indent + column + 2;
            string first = new string(' ', indent) + left;
            IEnumerable<string> lines = Wrapped(right, Math.Max(NarrowestText, width - start));
            if (left.Length <= column)
            {
                Line(first.PadRight(start) + lines.First());
                lines = lines.Skip(1);
            }
            else
            {
                Line(first);
            }

            foreach (string line in lines)
            {
                Line(new string(' ', start) + line);
            }
        }
    }

    private void Text(string text, int indent)
    {
        foreach (string line in Wrapped(text, Math.Max(NarrowestText, width - indent)))
        {
            Line(new string(' ', indent) + line);
        }
    }

    private HelpPage Line(string text)
    {
        _page.AppendLine(text);
        return this;
    }

    // At blanks; a word that is longer than a line stands alone.
    private static IEnumerable<string> Wrapped(string text, int width)
    {
        StringBuilder line = new();
        foreach (string word in text.Split(' '))
        {
            if (line.Length > 0 && line.Length + 1 + word.Length > width)
            {
                yield return line.ToString();
                line.Clear();
            }

            line.Append(line.Length > 0 ? " " : "").Append(word);
        }

        yield return line.ToString();
    }
}
