using Aperture.Firmware.Platform;
using Aperture.Pci;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>The chipsets of PCs by the name of their board.</summary>
public static class Chipsets
{
    /// <summary>Every pin of every device on the root bus of a <paramref name="board"/>, as the ACPI tables tell the guest.</summary>
    public static IReadOnlyList<PciInterruptRoute> InterruptRoutes(BoardKind board) => (board == BoardKind.Q35 ? PirqWiring.Q35 : PirqWiring.I440fx).Routes;

    /// <summary>The functions that the chipset of a <paramref name="board"/> has, by rising place.</summary>
    internal static IReadOnlyList<ChipsetPlace> Places(BoardKind board) => board == BoardKind.Q35
        ? [MemoryControllerHub.Place, LpcBridge.Place]
        : [I440fxHostBridge.Place, PiixIsaBridge.Place, PiixPowerManagement.Place];

    /// <summary>The chipset of a <paramref name="board"/>, its memory size registers at <paramref name="memory"/> after a reset.</summary>
    internal static IPcChipset Make(BoardKind board, MemoryRegisters memory, PciHierarchy hierarchy, IEventSink events, bool hasManagementMode) =>
        board == BoardKind.Q35 ? new Q35Chipset(memory, hierarchy, events, hasManagementMode) : new I440fxChipset();

    /// <summary>One of a chipset's functions, whose BARs, if any, answer nothing.</summary>
    internal static BoardNode Node(ChipsetPlace place, PciFunction function) =>
        new DeviceNode(place.Name, place.DeviceFunction, _ => new MadeFunction(function));
}
