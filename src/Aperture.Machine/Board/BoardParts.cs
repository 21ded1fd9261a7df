using Aperture.Devices.Serial;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Machine.Board;

/// <summary>What a board is built around: the parts that come from outside.</summary>
/// <param name="Ram">Guest RAM.</param>
/// <param name="Firmware">The firmware image, or null under direct boot.</param>
/// <param name="Map">Where everything goes.</param>
/// <param name="Root">The functions on the root bus.</param>
/// <param name="PhysicalAddressBits">The guest's physical address width.</param>
/// <param name="Line">The interrupt controller's input for a global system interrupt.</param>
/// <param name="Messages">Takes message signalled interrupts.</param>
/// <param name="Control">Takes the guest's requests for reset and power-off.</param>
/// <param name="Serial">Where the first serial port's output goes.</param>
/// <param name="DebugExitPorts">Ports of debug-exit devices.</param>
/// <param name="Clock">Time.</param>
/// <param name="Events">What happens is reported here.</param>
internal sealed record BoardParts(
    GuestRam Ram,
    RamBlock? Firmware,
    PlacementMap Map,
    IReadOnlyList<TopologyNode> Root,
    int PhysicalAddressBits,
    Func<uint, IInterruptLine> Line,
    IMsiSink Messages,
    IMachineControl Control,
    ISerialBackend Serial,
    IReadOnlyList<ushort> DebugExitPorts,
    TimeProvider Clock,
    IEventSink Events)
{
    /// <summary>Makes the chipset.</summary>
    public Func<PciHierarchy, IEventSink, IChipset> Chipset { get; init; } = Chipsets.For(BoardKind.Q35);

    /// <summary>Processors.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>The flash bank with the firmware's variables, or null.</summary>
    public VariableBank? Variables { get; init; }

    /// <summary>Debug consoles.</summary>
    public IReadOnlyList<DebugConsolePort> DebugConsoles { get; init; } = [];

    /// <summary>Who makes the functions that the board does not know by itself; asked in order, before the board's own makers.</summary>
    public IReadOnlyList<IFunctionMaker> Makers { get; init; } = [];
}

/// <summary>A debug console at its port.</summary>
internal sealed record DebugConsolePort(ushort Port, ISerialBackend Backend);
