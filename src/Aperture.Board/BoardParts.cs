using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Board;

/// <summary>What any board is built around: the parts that come from outside.</summary>
/// <param name="Map">Where everything goes.</param>
/// <param name="Root">The functions on the root bus, the chipset's left out.</param>
/// <param name="Messages">Takes message signalled interrupts.</param>
/// <param name="Events">What happens is reported here.</param>
public sealed record BoardParts(PlacementMap Map, IReadOnlyList<BoardNode> Root, IMsiSink Messages, IEventSink Events)
{
    /// <summary>From when on pins are in force.</summary>
    public PinTiming Pins { get; init; }
}
