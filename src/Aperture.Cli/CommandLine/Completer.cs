using Aperture.Configuration.Kinds;
using Aperture.Configuration.Options;

namespace Aperture.Cli.CommandLine;

/// <summary>
/// What can follow on a command line that is being typed. A candidate stands for the whole last word; one that is complete ends with a blank.
/// </summary>
internal sealed class Completer(IReadOnlyList<Verb> verbs)
{
    /// <summary>The line that asks the shell for names of files instead.</summary>
    public const string Files = "\tfiles";

    /// <summary>The candidates after <paramref name="line"/>, which starts with the program's name and ends where the cursor is.</summary>
    public IReadOnlyList<string> Complete(string line)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        string last = line.Length == 0 || line[^1] == ' ' ? "" : words[^1];
        string[] before = [.. words.Take(words.Length - (last.Length > 0 ? 1 : 0)).Skip(1)];
        Verb? verb = verbs.FirstOrDefault(v => before.Take(v.Name.Count(c => c == ' ') + 1).SequenceEqual(v.Name.Split(' ')));
        if (verb is null)
        {
            string typed = string.Join(' ', before.Append(last));
            return [.. verbs.Where(v => v.Name.StartsWith(typed, StringComparison.Ordinal)).Select(v => v.Name[(typed.Length - last.Length)..] + " ")];
        }

        string? previous = before.Length > 0 ? before[^1] : null;
        if (verb.Options.FirstOrDefault(o => (o.Name == previous || o.Alias == previous) && o.Value is not null) is { } option)
        {
            return Value(option, last);
        }

        int equals = last.IndexOf('=', StringComparison.Ordinal);
        if (equals > 0 && verb.Options.FirstOrDefault(o => o.Name == last[..equals] || o.Alias == last[..equals]) is { } assigned)
        {
            return [.. Value(assigned, last[(equals + 1)..]).Select(v => v == Files ? v : last[..(equals + 1)] + v)];
        }

        string[] given = [.. before.Where(w => w.StartsWith("--", StringComparison.Ordinal))];
        IEnumerable<string> names = verb.Options.Where(o => o.Repeatable || !given.Contains(o.Name)).Select(o => o.Name).Append("--help");
        return [.. names.Where(n => n.StartsWith(last, StringComparison.Ordinal)).Select(n => n + " ")];
    }

    private static IReadOnlyList<string> Value(OptionSpec option, string typed)
    {
        bool isDevice = option.Name == "--device";
        int comma = typed.LastIndexOf(',');
        if (isDevice && comma < 0)
        {
            return [.. DeviceKinds.All.Select(k => k.Word).Where(w => w.StartsWith(typed, StringComparison.Ordinal))];
        }

        OptionTable? table = isDevice ? DeviceKinds.Find(typed[..typed.IndexOf(',', StringComparison.Ordinal)])?.Table : option.Machine?.Table;
        return table is null ? Shaped(option.Shape, typed, "", " ") : Entry(table, typed[..(comma + 1)], typed[(comma + 1)..]);
    }

    private static IReadOnlyList<string> Entry(OptionTable table, string done, string typed)
    {
        int equals = typed.IndexOf('=', StringComparison.Ordinal);
        if (equals < 0)
        {
            string[] given = [.. done.Split(',').Select(item => item.Split('=')[0])];
            return [.. table.Entries.Where(e => !given.Contains(e.Key) && e.Key.StartsWith(typed, StringComparison.Ordinal)).Select(e => $"{done}{e.Key}=")];
        }

        OptionEntry? entry = table.Entries.FirstOrDefault(e => e.Key == typed[..equals]);
        return entry is null ? [] : Shaped(entry.Shape, typed[(equals + 1)..], done + typed[..(equals + 1)], "");
    }

    // A word that ends so is only half of a value.
    private static IReadOnlyList<string> Shaped(OptionShape shape, string typed, string before, string after)
    {
        string[] words = [.. shape.Words.Where(w => w.StartsWith(typed, StringComparison.Ordinal))];
        return shape == OptionShape.File ? [Files] : [.. words.Select(w => before + w + (w.EndsWith('=') || w.EndsWith(':') ? "" : after))];
    }
}
