using Aperture.Placement.Request;

namespace Aperture.Placement.Map;

/// <summary>An I/O BAR that has no address: a PCI Express endpoint must not depend on its I/O BARs (PCI Express Base 5.0, 1.3.2.2).</summary>
/// <param name="Function">The function's name.</param>
/// <param name="Demand">What was asked.</param>
/// <param name="Port">The bridge above it, whose I/O window does not reach it.</param>
public sealed record LeftOutBar(string Function, BarDemand Demand, string Port)
{
    /// <summary>One sentence about all of them; none when there are none.</summary>
    public static IEnumerable<string> Sentences(IReadOnlyList<LeftOutBar> bars)
    {
        ArgumentNullException.ThrowIfNull(bars);
        if (bars.Count > 0)
        {
            string ports = string.Join(", ", bars.Select(bar => bar.Port).Distinct());
            string names = string.Join(", ", bars.Select(bar => $"{bar.Function} {BarIndex.Name(bar.Demand.Index)}"));
            yield return $"There are too few I/O ports for all, so the I/O windows of {ports} stay closed; PCI Express devices work without, and no address "
                + $"has {names}.";
        }
    }
}
