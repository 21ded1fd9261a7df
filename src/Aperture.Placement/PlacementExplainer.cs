using System.Diagnostics.CodeAnalysis;

namespace Aperture.Placement;

/// <summary>Answers "why there?" for one BAR of a map.</summary>
public static class PlacementExplainer
{
    /// <summary>
    /// A few lines about BAR <paramref name="index"/> (as <see cref="BarIndex"/> numbers them) of <paramref name="function"/>: what and where it is, the
    /// rule that decided, its alignment, the windows around it, its neighbours. False when the map has no such BAR.
    /// </summary>
    public static bool TryExplain(PlacementMap map, string function, int index, [NotNullWhen(true)] out IReadOnlyList<string>? lines)
    {
        ArgumentNullException.ThrowIfNull(map);
        if (!map.TryGetFunction(function, out FunctionPlacement? placed) || placed.Bar(index) is not { } bar)
        {
            lines = null;
            return false;
        }

        lines = [$"{placed.Name} {BarIndex.Name(index)} is at {bar.Range}: {bar.Why.Text}"];
        return true;
    }
}
