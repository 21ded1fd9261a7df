using System.Text;
using Aperture.Host.Model;
using Aperture.Host.Reports;

namespace Aperture.Doctor.Output;

/// <summary>A diagnosis for people: one verdict a line, what was seen and what changes it below; what was said already to do is not said again.</summary>
public static class DiagnosisText
{
    private const int KindWidth = 9;

    /// <summary>The whole text; lines end in a line feed.</summary>
    /// <param name="diagnosis">What was found.</param>
    /// <param name="width">Characters of a line, which sentences are broken at; commands are not.</param>
    public static string Of(Diagnosis diagnosis, int width)
    {
        ArgumentNullException.ThrowIfNull(diagnosis);
        StringBuilder text = new();
        if (Machine(diagnosis.Host.System) is { Length: > 0 } machine)
        {
            Wrap(text, "", machine, width);
        }

        foreach (IGrouping<string, HostFunction> kind in diagnosis.Devices.GroupBy(Describe))
        {
            Wrap(text, "", $"{string.Join(' ', kind.Select(static device => device.Address))}: {kind.Key}", width);
        }

        HashSet<string> told = [];
        foreach (Verdict verdict in diagnosis.Verdicts)
        {
            text.Append('\n');
            Wrap(text, Word(verdict.Kind).PadRight(KindWidth), $"{verdict.Check}: {verdict.Means}", width);
            Wrap(text, new string(' ', KindWidth), $"seen: {verdict.Seen}", width);
            foreach (string change in verdict.Changes.Where(told.Add))
            {
                text.Append(' ', KindWidth).Append("do: ").Append(change).Append('\n');
            }
        }

        text.Append('\n');
        foreach (Goals goal in GoalWords.Each(diagnosis.Goals))
        {
            Wrap(text, "", $"{GoalWords.Of(goal)}: {Conclusion(diagnosis, goal)}", width);
        }

        return text.ToString();
    }

    /// <summary>The word of a kind.</summary>
    internal static string Word(VerdictKind kind) => kind switch
    {
        VerdictKind.Cannot => "cannot",
        VerdictKind.Should => "should",
        VerdictKind.Unknown => "unknown",
        VerdictKind.Note => "note",
        _ => "good",
    };

    private static string Machine(HostSystem system) => string.Join(", ", new[]
    {
        system.Firmware is { } firmware ? $"{firmware.Vendor} {firmware.Product}".Trim() : "",
        system.Firmware is { Version.Length: > 0 } dated ? $"firmware {dated.Version} of {dated.Date}" : "",
        system.Processor?.Name ?? "",
        system.KernelRelease is { } release ? $"kernel {release}" : "",
    }.Where(static part => part.Length != 0));

    private static string Describe(HostFunction device) =>
        $"{device.Identity.Vendor:x4}:{device.Identity.Device:x4} {PciClassNames.Find(device.Identity.ClassCode)}"
        + (device.IsVirtualFunction ? $", VF of {device.PhysicalFunction}" : "");

    private static string Conclusion(Diagnosis diagnosis, Goals goal)
    {
        List<Verdict> counting = [.. diagnosis.Verdicts.Where(verdict => (verdict.Goals & goal) != 0)];
        int steps = counting.Count(static verdict => verdict.Kind == VerdictKind.Should);
        return diagnosis.Of(goal) switch
        {
            Reachability.No => $"cannot be reached as the machine stands: {Checks(counting, static verdict => verdict.Kind == VerdictKind.Cannot)}.",
            Reachability.Unknown =>
                "not known, because the description does not tell: "
                    + $"{Checks(counting, static verdict => verdict is { Kind: VerdictKind.Unknown, Decides: true })}.",
            _ => steps == 0 ? "can be reached." : $"can be reached; first see what should be done ({steps}).",
        };
    }

    private static string Checks(List<Verdict> verdicts, Func<Verdict, bool> wanted) =>
        string.Join(", ", verdicts.Where(wanted).Select(static verdict => verdict.Check).Distinct());

    private static void Wrap(StringBuilder text, string first, string sentence, int width)
    {
        string indent = new(' ', first.Length);
        StringBuilder line = new(first);
        bool empty = true;
        foreach (string word in sentence.Split(' '))
        {
            if (!empty && line.Length + 1 + word.Length > width)
            {
                text.Append(line).Append('\n');
                line.Clear().Append(indent);
                empty = true;
            }

            line.Append(empty ? "" : " ").Append(word);
            empty = false;
        }

        text.Append(line).Append('\n');
    }
}
