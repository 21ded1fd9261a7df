using Aperture.Configuration.Kinds;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement.Request;

namespace Aperture.Machine.Topology;

/// <summary>Makes the tree of a mirrored machine from what the solver was asked, which names functions by their host addresses.</summary>
/// <param name="host">The host.</param>
/// <param name="own">The guest's own functions on the root bus, by id.</param>
/// <param name="chosen">The host's functions that are in the guest; others' places may be held by functions without BARs.</param>
/// <param name="resolver">Checks that a function can be passed.</param>
internal sealed class MirroredNodes(HostMachine host, IReadOnlyDictionary<string, TopologyNode> own, IReadOnlySet<PciAddress> chosen, AssignedResolver resolver)
{
    /// <summary>The nodes for <paramref name="functions"/>, what is below them included.</summary>
    /// <exception cref="ApertureException">A function cannot be passed.</exception>
    public List<TopologyNode> Make(IReadOnlyList<FunctionDemand> functions) => [.. functions.Select(function => Make(function, null))];

    private TopologyNode Make(FunctionDemand function, NodeKind? above)
    {
        if (own.TryGetValue(function.Name, out TopologyNode? node))
        {
            return node;
        }

        HostFunction? behind = PciAddress.TryParse(function.Name, out PciAddress address) ? host.Find(address) : null;
        if (function.Bridge is { } bridge)
        {
            TopologyNode port = new(function.Name, KindOf(behind, above), function.DeviceFunction);
            port.Children.AddRange(bridge.Functions.Select(child => Make(child, port.Kind)));
            return port;
        }

        // A place holder stands where the host has a function that was not chosen.
        return behind is null || !chosen.Contains(behind.Address) || (function.Bars.Count == 0 && !HasBars(behind))
            ? new TopologyNode(function.Name, NodeKind.PlaceHolder, function.DeviceFunction)
            : new TopologyNode(function.Name, NodeKind.Assigned, function.DeviceFunction) { Assigned = Part(behind, function) };
    }

    // A function without any BAR is worth passing only when it has nothing else to be; none such is known, so it stays a place holder.
    private static bool HasBars(HostFunction function) => function.AllBars.Any(bar => bar.Size != 0 && !bar.Fixed);

    private AssignedPart Part(HostFunction function, FunctionDemand demand)
    {
        VfioSpec spec = new()
        {
            Device = new HostDeviceName(function.Address, null, null),
            DeviceFunction = demand.DeviceFunction,
            AllAsHost = true,
            Rom = demand.Bars.Any(bar => bar.Index == BarKinds.RomIndex) ? AssignedRom.Device : AssignedRom.Off,
        };
        return resolver.Resolve(spec) with { Bars = demand.Bars };
    }

    // Where the host does not tell, what stands where a switch's ports would stand is one.
    private static NodeKind KindOf(HostFunction? bridge, NodeKind? above) => bridge?.Pcie?.Type switch
    {
        HostPortType.SwitchUpstream => NodeKind.SwitchUpstream,
        HostPortType.SwitchDownstream => NodeKind.SwitchDownstream,
        HostPortType.RootPort => NodeKind.RootPort,
        _ => above switch { null => NodeKind.RootPort, NodeKind.SwitchUpstream => NodeKind.SwitchDownstream, _ => NodeKind.SwitchUpstream },
    };
}
