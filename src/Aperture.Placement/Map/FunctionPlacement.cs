using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Placement.Map;

/// <summary>One function with its bus number and addresses.</summary>
/// <param name="Demand">What was asked.</param>
/// <param name="Address">Bus, device and function.</param>
/// <param name="Bars">One entry for each BAR in the demand, by index, but for those in <see cref="PlacementMap.LeftOut"/>.</param>
/// <param name="Bridge">Bus numbers and windows when the function is a bridge.</param>
public sealed record FunctionPlacement(FunctionDemand Demand, Bdf Address, IReadOnlyList<BarPlacement> Bars, BridgePlacement? Bridge)
{
    /// <summary>The user's id.</summary>
    public string Name => Demand.Name;

    /// <summary>The place of BAR <paramref name="index"/> (<see cref="BarKinds.RomIndex"/> for the ROM), or null when the function has none there.</summary>
    public BarPlacement? Bar(int index) => Bars.FirstOrDefault(bar => bar.Demand.Index == index);

    internal static IEnumerable<FunctionPlacement> Walk(IEnumerable<FunctionPlacement> functions)
    {
        // A stack of one's own: the depth of a chain of bridges must not cost at every step.
        Stack<IEnumerator<FunctionPlacement>> open = new([functions.GetEnumerator()]);
        while (open.TryPeek(out IEnumerator<FunctionPlacement>? level))
        {
            if (!level.MoveNext())
            {
                open.Pop().Dispose();
                continue;
            }

            yield return level.Current;
            if (level.Current.Bridge is { Functions.Count: > 0 } bridge)
            {
                open.Push(bridge.Functions.GetEnumerator());
            }
        }
    }
}
