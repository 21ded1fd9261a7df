using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Machine.Verification;

/// <summary>What is promised while firmware has the machine, and once the operating system has it. Immutable.</summary>
/// <param name="Before">Until the handover.</param>
/// <param name="After">From the handover on.</param>
/// <param name="Pins">From when on pins are in force.</param>
internal sealed record MapPromises(MapPromise Before, MapPromise After, PinTiming Pins)
{
    /// <summary>
    /// What <paramref name="map"/> promises: all of it to a guest that finds it (under direct boot, or after a handover that puts it in place), only RAM and
    /// the pins in force where firmware places everything.
    /// </summary>
    public static MapPromises Of(PlacementMap map, bool isDirect, PinTiming pins)
    {
        MapPromise whole = MapPromise.Of(map, isDirect: true);
        MapPromise pinned = MapPromise.Of(map, isDirect: false);
        return isDirect ? new(whole, whole, pins)
            : pins == PinTiming.Always ? new(pinned, pinned, pins)
            : new(pinned with { Functions = [.. pinned.Functions.Select(f => f with { Bars = [] })] }, whole, pins);
    }

    /// <summary>What is promised now.</summary>
    public MapPromise At(bool isHandedOver) => isHandedOver ? After : Before;

    /// <summary>The same with a function that came later, whose pins are promised from then on that pins are in force.</summary>
    public MapPromises With(string name, IReadOnlyList<BarPin> pins) =>
        this with { Before = Before.With(name, Pins == PinTiming.Always ? pins : []), After = After.With(name, pins) };

    /// <summary>The same without a function that was taken out.</summary>
    public MapPromises Without(string name) => this with { Before = Before.Without(name), After = After.Without(name) };
}
