using Aperture.Placement.Request;

namespace Aperture.Configuration;

/// <summary>A PCI Express root port on bus 0.</summary>
/// <param name="Id">The name that devices refer to.</param>
/// <param name="DeviceFunction">Its place on bus 0, or null to take the next free one.</param>
public sealed record RootPortConfig(string Id, byte? DeviceFunction)
{
    /// <summary>What it keeps free for devices that come later; null for nothing.</summary>
    public PortRoom? Room { get; init; }
}

/// <summary>What a port keeps free for devices that come later.</summary>
/// <param name="Reserve">Least sizes of its windows and bus numbers.</param>
/// <param name="Memory">The memory window itself, or null to let placement choose.</param>
/// <param name="Prefetchable">The prefetchable window itself, or null to let placement choose.</param>
public sealed record PortRoom(HotplugReserve Reserve, AddressRange? Memory, AddressRange? Prefetchable);

/// <summary>A PCI Express switch: one upstream port, and downstream ports named <c>ID.0</c>, <c>ID.1</c>, ...</summary>
/// <param name="Id">The name that the ports' names start with.</param>
/// <param name="Port">The root or downstream port it is plugged into.</param>
/// <param name="DownstreamPorts">1 to 32.</param>
public sealed record SwitchConfig(string Id, string Port, int DownstreamPorts)
{
    /// <summary>What each downstream port keeps free for devices that come later; null for nothing.</summary>
    public PortRoom? Room { get; init; }
}
