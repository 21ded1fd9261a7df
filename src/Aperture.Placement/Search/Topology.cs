using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Placement.Search;

/// <summary>The functions of all host bridges in canonical order.</summary>
internal sealed class Topology
{
    // A chain of bridges needs one bus number for each, so deeper trees cannot be numbered anyway.
    private const int MaxDepth = 255;

    private readonly List<FunctionNode> _all = [];

    private Topology(IReadOnlyList<HostBridgeDemand> hosts) => Hosts = hosts;

    public IReadOnlyList<HostBridgeDemand> Hosts { get; }

    /// <summary>What lies on each host bridge's root bus.</summary>
    public IReadOnlyList<IReadOnlyList<FunctionNode>> Roots { get; private set; } = [];

    /// <summary>What lies on any root bus.</summary>
    public IEnumerable<FunctionNode> OnRoot => Roots.SelectMany(root => root);

    public bool HasBridges { get; private set; }

    /// <summary>Every function; a function's index here is its <see cref="FunctionNode.Order"/>.</summary>
    public IReadOnlyList<FunctionNode> All => _all;

    public IEnumerable<BarSpec> Bars => _all.SelectMany(node => node.Bars);

    public static Topology Build(IReadOnlyList<HostBridgeDemand> hosts, List<PlacementConflict> conflicts)
    {
        Topology topology = new(hosts);
        topology.Roots = [.. hosts.Select((host, index) => topology.Add(host.Functions, null, index, 0, conflicts))];
        return topology;
    }

    private List<FunctionNode> Add(IReadOnlyList<FunctionDemand> functions, FunctionNode? parent, int host, int depth, List<PlacementConflict> conflicts)
    {
        List<FunctionNode> nodes = new(functions.Count);
        if (depth > MaxDepth)
        {
            conflicts.Add(new PlacementConflict(
                PlacementConflictKind.BusNumbers,
                new ConflictParty(parent!.Name) { Function = parent.Name },
                $"{parent.Name} lies {depth} bridges deep below {Hosts[host].Name}, and there are only 256 bus numbers"));
            return nodes;
        }

        foreach (FunctionDemand function in functions.OrderBy(function => function.DeviceFunction).ThenBy(function => function.Name, StringComparer.Ordinal))
        {
            FunctionNode node = new(function, parent, host, _all.Count);
            _all.Add(node);
            nodes.Add(node);
            if (function.Bridge is { } bridge)
            {
                HasBridges = true;
                node.Children = Add(bridge.Functions, node, host, depth + 1, conflicts);
            }
        }

        return nodes;
    }
}
