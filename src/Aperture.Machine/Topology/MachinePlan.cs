using Aperture.Machine.Board;
using Aperture.Machine.Configuration;
using Aperture.Placement;

namespace Aperture.Machine.Topology;

/// <summary>What a machine asks of the solver, for those who want the map and not the machine.</summary>
public static class MachinePlan
{
    /// <summary>The request that running <paramref name="config"/> with <paramref name="physicalAddressBits"/> of guest address would make.</summary>
    /// <exception cref="ApertureException">The topology or a device's options contradict themselves.</exception>
    public static PlacementRequest Request(MachineConfig config, int physicalAddressBits)
    {
        ArgumentNullException.ThrowIfNull(config);
        DebugExitPorts.Read(config);
        DebugConsoles.Read(config);
        return PlacementInput.For(config, TopologyBuilder.Build(config), physicalAddressBits);
    }
}
