using Aperture.Devices.FwCfg;
using Aperture.Devices.Serial;
using Aperture.Memory;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>What a PC is built around beside what any board is.</summary>
/// <param name="Ram">Guest RAM.</param>
/// <param name="PhysicalAddressBits">The guest's physical address width.</param>
/// <param name="Line">The interrupt controller's input for a global system interrupt.</param>
/// <param name="Control">Takes the guest's requests for reset and power-off.</param>
/// <param name="Clock">Time.</param>
public sealed record PcParts(GuestRam Ram, int PhysicalAddressBits, Func<uint, IInterruptLine> Line, IMachineControl Control, TimeProvider Clock)
{
    /// <summary>Which PC.</summary>
    public BoardKind Kind { get; init; } = BoardKind.Q35;

    /// <summary>The firmware image, or null under direct boot.</summary>
    public RamBlock? Firmware { get; init; }

    /// <summary>The flash bank with the firmware's variables, or null.</summary>
    public VariableBank? Variables { get; init; }

    /// <summary>What firmware learns of its machine, worked out once the board stands; null for no configuration device.</summary>
    public Func<PcBoard, FwCfgItems>? Configuration { get; init; }

    /// <summary>System management mode, which only a Q35 can have; null for a machine without.</summary>
    public ManagementMode? Management { get; init; }

    /// <summary>Processors.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>Where the first serial port's output goes.</summary>
    public ISerialBackend Serial { get; init; } = NullSerialBackend.Instance;

    /// <summary>Debug consoles.</summary>
    public IReadOnlyList<DebugConsolePort> DebugConsoles { get; init; } = [];

    /// <summary>Ports of debug-exit devices.</summary>
    public IReadOnlyList<ushort> DebugExitPorts { get; init; } = [];

    /// <summary>Whether the board has the device that test kernels drive.</summary>
    public bool HasTestDevice { get; init; }

    /// <summary>Memory that the hypervisor keeps for itself: no BAR decodes there.</summary>
    public IReadOnlyList<ReservedRange> Reserved { get; init; } = [];
}
