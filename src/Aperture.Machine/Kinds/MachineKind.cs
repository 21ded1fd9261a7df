using Aperture.Board;
using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Devices.Serial;
using Aperture.Hypervisor;
using Aperture.Machine.Boot;
using Aperture.Machine.Control;
using Aperture.Memory;
using Aperture.Placement.Map;
using Aperture.Watch;

namespace Aperture.Machine.Kinds;

/// <summary>What of a machine is its board's and its processor's: how it is built, and how it starts. Chosen once, by the configuration.</summary>
internal abstract class MachineKind
{
    /// <summary>What the boot processor starts with under firmware.</summary>
    public abstract EntryState FirmwareEntry { get; }

    /// <summary>The kind of machine with <paramref name="board"/>.</summary>
    public static MachineKind Of(BoardKind board) => board == BoardKind.Virt ? VirtMachine.Instance : PcMachine.Instance;

    /// <summary>Refuses what such a machine cannot have.</summary>
    /// <exception cref="ApertureException">The configuration asks for it.</exception>
    public abstract void Check(MachineConfig config);

    /// <summary>How a kernel is started without firmware.</summary>
    /// <param name="config">The machine.</param>
    /// <param name="map">Where everything goes.</param>
    /// <param name="files">What is started; it must stay open.</param>
    /// <param name="limits">What the hypervisor gives the guest.</param>
    /// <exception cref="ApertureException">Something does not fit, or the kernel is of another kind.</exception>
    public abstract KernelStart Start(MachineConfig config, PlacementMap map, KernelFiles files, HypervisorLimits limits);

    /// <summary>Builds the board in its reset state; what it is made of besides belongs to <see cref="MachineSite.Owned"/>.</summary>
    /// <exception cref="ApertureException">A file cannot be opened, or the host refuses.</exception>
    public abstract MachineBoard Build(BoardParts parts, MachineSite site);
}

/// <summary>What a board is built from, beside its map and its functions.</summary>
/// <param name="Plan">The machine's plan.</param>
/// <param name="Ram">Guest RAM.</param>
/// <param name="Vm">The VM.</param>
/// <param name="Requests">What is asked of the machine.</param>
/// <param name="Clock">Time.</param>
/// <param name="Console">Where the serial port's output goes.</param>
/// <param name="DebugConsoles">Where that of debug consoles goes.</param>
/// <param name="Events">Where what happens is told.</param>
/// <param name="Owned">Gets every part that ends with the machine.</param>
internal sealed record MachineSite(
    MachinePlan Plan, GuestRam Ram, IVm Vm, MachineRequests Requests, TimeProvider Clock, ISerialBackend Console, DebugConsoles DebugConsoles, EventHub Events,
    OwnedParts Owned);

/// <summary>A board as the machine around it knows it, whatever kind it is.</summary>
/// <param name="Board">The board.</param>
/// <param name="Console">Its serial port.</param>
/// <param name="PressPowerButton">Presses its power button.</param>
internal sealed record MachineBoard(PciBoard Board, ISerialPort Console, Action PressPowerButton)
{
    /// <summary>Guest physical memory as system management mode sees it; null on a machine without that mode.</summary>
    public OverlaidMemory? Management { get; init; }
}
