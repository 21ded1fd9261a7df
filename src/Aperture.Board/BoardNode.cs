using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Board;

/// <summary>One function of a board's PCI tree, before it has a bus number or addresses.</summary>
/// <param name="Name">The user's id, unique in the machine.</param>
/// <param name="DeviceFunction">Its place on its bus: device in bits 7:3, function in bits 2:0.</param>
public abstract record BoardNode(string Name, byte DeviceFunction);

/// <summary>A port of PCI Express, which the board makes by itself.</summary>
/// <param name="Name">As <see cref="BoardNode"/>.</param>
/// <param name="DeviceFunction">As <see cref="BoardNode"/>.</param>
/// <param name="Kind">What port.</param>
/// <param name="Children">The functions on the bus behind it.</param>
public sealed record PortNode(string Name, byte DeviceFunction, PortKind Kind, IReadOnlyList<BoardNode> Children) : BoardNode(Name, DeviceFunction)
{
    /// <summary>What a root port asks firmware to keep free for devices that come later; null for nothing.</summary>
    public HotplugReserve? Reserve { get; init; }

    /// <summary>What the port does with AtomicOps.</summary>
    public AtomicOps Atomics { get; init; }
}

/// <summary>What the ports of a PCI Express hierarchy are (PCI Express 5.0, section 1.3).</summary>
public enum PortKind : byte
{
    /// <summary>A root port.</summary>
    Root,

    /// <summary>A switch's upstream port.</summary>
    SwitchUpstream,

    /// <summary>A switch's downstream port.</summary>
    SwitchDownstream,
}

/// <summary>A function that is no port. What it is only its maker knows.</summary>
/// <param name="Name">As <see cref="BoardNode"/>.</param>
/// <param name="DeviceFunction">As <see cref="BoardNode"/>.</param>
/// <param name="Make">
/// Makes the function, on no bus yet and without its pins. Throws <see cref="ApertureException"/> when the host refuses.
/// </param>
public sealed record DeviceNode(string Name, byte DeviceFunction, Func<FunctionSite, MadeFunction> Make) : BoardNode(Name, DeviceFunction)
{
    /// <summary>BARs that the user pinned. The board pins them when it puts the function on its bus; one that the function lacks is passed over.</summary>
    public IReadOnlyList<BarPin> Pins { get; init; } = [];
}
