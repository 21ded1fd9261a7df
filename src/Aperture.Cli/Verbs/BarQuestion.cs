using System.Globalization;
using Aperture.Placement.Map;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;

namespace Aperture.Cli.Verbs;

/// <summary>Answers <c>--explain 01:00.0/bar2</c>.</summary>
internal static class BarQuestion
{
    /// <summary>Why the BAR that <paramref name="question"/> names is where it is, lines ended by <c>\n</c>.</summary>
    /// <exception cref="ApertureException">The question is malformed, or the map has no such function or BAR.</exception>
    public static string Answer(PlacementMap map, string question)
    {
        int slash = question.LastIndexOf('/');
        if (slash <= 0 || !BarIndex.TryParse(question.AsSpan(slash + 1), out int index))
        {
            throw new ApertureException($"--explain {question} does not name a BAR; write FUNCTION/BAR, such as 01:00.0/bar2 or t0/rom.");
        }

        FunctionPlacement function = Find(map, question[..slash]);
        if (!PlacementExplainer.TryExplain(map, function.Name, index, out IReadOnlyList<string>? lines))
        {
            string has = function.Bars.Count == 0 ? "it has no BAR" : $"it has {string.Join(", ", function.Bars.Select(b => BarIndex.Name(b.Demand.Index)))}";
            throw new ApertureException($"--explain {question}: {function.Name} at {function.Address} has no {BarIndex.Name(index)}; {has}.");
        }

        return string.Concat(lines.Select(line => line + "\n"));
    }

    // An id wins over an address that reads the same, since only ids are the user's own.
    private static FunctionPlacement Find(PlacementMap map, string name)
    {
        if (map.TryGetFunction(name, out FunctionPlacement? function) || (function = AtAddress(map, name)) is not null)
        {
            return function;
        }

        string? near = Suggestion.Nearest(name, map.Functions.SelectMany(f => new[] { f.Name, f.Address.ToString() }));
        throw new ApertureException(
            $"--explain: there is no function {name}; {(near is null ? "aperture plan --format tree lists them" : $"did you mean {near}?")}");
    }

    private static FunctionPlacement? AtAddress(PlacementMap map, string text)
    {
        uint segment = 0;
        int colon = text.IndexOf(':', StringComparison.Ordinal);
        if (colon >= 0 && text.IndexOf(':', colon + 1) >= 0)
        {
            if (!uint.TryParse(text.AsSpan(0, colon), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out segment))
            {
                return null;
            }

            text = text[(colon + 1)..];
        }

        return Bdf.TryParse(text, out Bdf address)
            ? map.HostBridges.Where(h => h.Segment == segment).SelectMany(h => Walk(h.Functions)).FirstOrDefault(f => f.Address == address)
            : null;
    }

    private static IEnumerable<FunctionPlacement> Walk(IEnumerable<FunctionPlacement> functions) =>
        functions.SelectMany(f => Walk(f.Bridge?.Functions ?? []).Prepend(f));
}
