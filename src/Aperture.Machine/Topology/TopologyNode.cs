using Aperture.Configuration;
using Aperture.Configuration.Kinds;

namespace Aperture.Machine.Topology;

/// <summary>What stands at a place in the PCI tree.</summary>
public enum NodeKind : byte
{
    /// <summary>A function of the board itself (memory controller hub, LPC bridge).</summary>
    Board,

    /// <summary>A root port.</summary>
    RootPort,

    /// <summary>A switch's upstream port.</summary>
    SwitchUpstream,

    /// <summary>A switch's downstream port.</summary>
    SwitchDownstream,

    /// <summary>A test device.</summary>
    Test,

    /// <summary>A disk.</summary>
    Disk,

    /// <summary>A display adapter.</summary>
    Display,

    /// <summary>A device of the host, or one that another process serves.</summary>
    Assigned,

    /// <summary>A function without BARs that stands where the host has function 0 of a device, because a guest finds a device by it.</summary>
    PlaceHolder,
}

/// <summary>One function of the machine's PCI tree, before it has a bus number or addresses.</summary>
/// <param name="Name">The user's id, unique in the machine.</param>
/// <param name="Kind">What it is.</param>
/// <param name="DeviceFunction">Its place on its bus.</param>
public sealed record TopologyNode(string Name, NodeKind Kind, byte DeviceFunction)
{
    /// <summary>What lies behind it, when it is a bridge.</summary>
    public List<TopologyNode> Children { get; } = [];

    /// <summary>The device that the user asked for, when it is one of the machine's own.</summary>
    public PciDeviceSpec? Device { get; init; }

    /// <summary>The device that the guest drives itself.</summary>
    public AssignedPart? Assigned { get; init; }

    /// <summary>What a port keeps free for devices that come later; null for nothing.</summary>
    public PortRoom? Room { get; init; }

    /// <summary>True when functions can be plugged in behind it.</summary>
    public bool IsPort => Kind is NodeKind.RootPort or NodeKind.SwitchDownstream;

    /// <summary>True for every kind of PCI-to-PCI bridge.</summary>
    public bool IsBridge => IsPort || Kind == NodeKind.SwitchUpstream;
}
