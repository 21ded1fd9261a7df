using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Machine.Verification;

/// <summary>A BAR and the address that the plan gave it.</summary>
/// <param name="Index">As <see cref="BarDemand.Index"/>.</param>
/// <param name="Address">The address.</param>
/// <param name="IsPinned">The user chose it.</param>
public sealed record PromisedBar(int Index, GuestAddress Address, bool IsPinned);

/// <summary>A bridge's bus numbers and windows.</summary>
/// <param name="Secondary">The bus behind it.</param>
/// <param name="Subordinate">The highest bus behind it.</param>
/// <param name="Io">Its I/O window; null while closed.</param>
/// <param name="Memory">Its memory window; null while closed.</param>
/// <param name="Prefetchable">Its prefetchable window; null while closed.</param>
public sealed record BridgeState(byte Secondary, byte Subordinate, AddressRange? Io, AddressRange? Memory, AddressRange? Prefetchable);

/// <summary>What the plan promised of one function.</summary>
/// <param name="Name">The user's id.</param>
/// <param name="Place">Its address; null where the guest numbers the buses.</param>
/// <param name="Bars">Its BARs, those without a promise left out.</param>
/// <param name="Bridge">Set for a bridge whose registers the plan decided.</param>
public sealed record PromisedFunction(string Name, Bdf? Place, IReadOnlyList<PromisedBar> Bars, BridgeState? Bridge);

/// <summary>
/// What the plan promised: the side that a running machine is compared with. Immutable; a machine whose functions come and go makes a new one.
/// </summary>
/// <param name="Functions">The functions that are to be there.</param>
/// <param name="Ram">Where RAM is.</param>
/// <param name="Ecam">The ECAM window; null when there is none or the guest decides.</param>
public sealed record MapPromise(IReadOnlyList<PromisedFunction> Functions, IReadOnlyList<AddressRange> Ram, AddressRange? Ecam)
{
    /// <summary>
    /// What <paramref name="map"/> promises. Under direct boot that is everything in it; firmware numbers buses and places BARs by itself, so then only pins
    /// and RAM are (<paramref name="isDirect"/> false).
    /// </summary>
    public static MapPromise Of(PlacementMap map, bool isDirect)
    {
        ArgumentNullException.ThrowIfNull(map);
        return new MapPromise([.. map.Functions.Select(f => Of(f, isDirect))], [.. map.Ram.Pieces], isDirect ? map.Ecam : null);
    }

    /// <summary>The same with a function that came later, of which its pins are promised, in place of one of its name.</summary>
    public MapPromise With(string name, IEnumerable<BarPin> pins) =>
        Without(name) with
        {
            Functions = [.. Without(name).Functions, new PromisedFunction(name, null, [.. pins.Select(p => new PromisedBar(p.Index, p.Address, true))], null)],
        };

    /// <summary>The same without a function that was taken out.</summary>
    public MapPromise Without(string name) => this with { Functions = [.. Functions.Where(f => f.Name != name)] };

    private static PromisedFunction Of(FunctionPlacement function, bool isDirect) => new(
        function.Name,
        isDirect ? function.Address : null,
        [.. function.Bars.Where(b => isDirect || b.Demand.Pin is not null)
            .Select(b => new PromisedBar(b.Demand.Index, b.Address, b.Demand.Pin is not null))],
        isDirect && function.Bridge is { } bridge
            ? new BridgeState(bridge.Secondary, bridge.Subordinate, bridge.Io, bridge.Memory, bridge.Prefetchable) : null);
}
