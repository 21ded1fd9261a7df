using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>The chipsets by the name of their board.</summary>
internal static class Chipsets
{
    /// <summary>What makes the chipset of a <paramref name="board"/>.</summary>
    public static Func<PciHierarchy, IEventSink, IChipset> For(BoardKind board) => board == BoardKind.Q35
        ? static (hierarchy, events) => new Q35Chipset(hierarchy, events)
        : static (_, _) => new I440fxChipset();

    /// <summary>How a <paramref name="board"/> wires interrupts.</summary>
    public static PirqWiring Wiring(BoardKind board) => board == BoardKind.Q35 ? PirqWiring.Q35 : PirqWiring.I440fx;
}
