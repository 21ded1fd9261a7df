namespace Aperture.Placement.Request;

/// <summary>One PCI function: an endpoint, a bridge, or a fixed platform function that asks for nothing.</summary>
/// <param name="Name">The user's id for it. Unique in a request; messages name functions by it.</param>
/// <param name="DeviceFunction">Device 7:3 and function 2:0 on its bus.</param>
/// <param name="Bars">The BARs it has, the expansion ROM and VF BARs included. A bridge has BAR 0, BAR 1 and the ROM at most.</param>
public sealed record FunctionDemand(string Name, byte DeviceFunction, IReadOnlyList<BarDemand> Bars)
{
    /// <summary>Set when the function is a PCI-to-PCI bridge (a root port, or a switch's upstream or downstream port).</summary>
    public BridgeDemand? Bridge { get; init; }

    /// <summary>Set when the function has an SR-IOV capability; VF BARs in <see cref="Bars"/> need it.</summary>
    public SriovDemand? Sriov { get; init; }
}
