using System.Text;

namespace Aperture.Cli.CommandLine;

/// <summary>Writes the help pages from the same tables that the parser reads.</summary>
internal static class HelpPage
{
    /// <summary>The page of <c>aperture --help</c>.</summary>
    public static string ForAll(IReadOnlyList<Verb> verbs)
    {
        StringBuilder page = new();
        page.AppendLine("Aperture: a virtual machine monitor whose subject is the guest's physical address space.");
        page.AppendLine().AppendLine("Usage: aperture VERB [OPTIONS]").AppendLine().AppendLine("Verbs:");
        Rows(page, [.. verbs.Select(v => (v.Name, v.Summary))]);
        page.AppendLine().AppendLine("aperture VERB --help lists a verb's options. --version prints the version.");
        page.AppendLine("Exit codes: the guest's own, 0 after its power-off; 2 for a wrong command line, 3 when the host fails.");
        return page.ToString();
    }

    /// <summary>The page of <c>aperture VERB --help</c>.</summary>
    public static string For(Verb verb)
    {
        StringBuilder page = new();
        page.AppendLine($"aperture {verb.Name}: {verb.Summary}").AppendLine();
        string rest = (verb.Operand is null ? "" : " " + verb.Operand) + (verb.Command is null ? "" : " -- " + verb.Command);
        page.AppendLine($"Usage: aperture {verb.Name} [OPTIONS]{rest}").AppendLine();
        if (verb.Options.Count > 0)
        {
            page.AppendLine("Options:");
            Rows(page, [.. verb.Options.Select(o => (o.Value is null ? o.Name : $"{o.Name} {o.Value}", o.Help + (o.Repeatable ? " (repeatable)" : "")))]);
            page.AppendLine();
        }

        page.AppendLine("Example:").AppendLine("  " + verb.Example);
        return page.ToString();
    }

    private static void Rows(StringBuilder page, IReadOnlyList<(string Left, string Right)> rows)
    {
        int width = rows.Where(r => r.Left.Length <= 34).Max(r => r.Left.Length);
        foreach ((string left, string right) in rows)
        {
            if (left.Length > width)
            {
                page.AppendLine("  " + left).Append(' ', width + 4).AppendLine(right);
            }
            else
            {
                page.Append("  ").Append(left.PadRight(width + 2)).AppendLine(right);
            }
        }
    }
}
