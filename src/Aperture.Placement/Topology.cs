namespace Aperture.Placement;

/// <summary>The functions of one host bridge in canonical order.</summary>
internal sealed class Topology
{
    // A chain of bridges needs one bus number for each, so deeper trees cannot be numbered anyway.
    private const int MaxDepth = 255;

    private readonly List<FunctionNode> _all = [];

    private Topology(HostBridgeDemand hostBridge) => HostBridge = hostBridge;

    public HostBridgeDemand HostBridge { get; }

    public IReadOnlyList<FunctionNode> Root { get; private set; } = [];

    /// <summary>Every function; a function's index here is its <see cref="FunctionNode.Order"/>.</summary>
    public IReadOnlyList<FunctionNode> All => _all;

    public static Topology Build(HostBridgeDemand hostBridge, List<PlacementConflict> conflicts)
    {
        Topology topology = new(hostBridge);
        topology.Root = topology.Add(hostBridge.Functions, null, 0, conflicts);
        return topology;
    }

    private List<FunctionNode> Add(IReadOnlyList<FunctionDemand> functions, FunctionNode? parent, int depth, List<PlacementConflict> conflicts)
    {
        List<FunctionNode> nodes = [];
        if (depth > MaxDepth)
        {
            conflicts.Add(new PlacementConflict(
                PlacementConflictKind.BusNumbers,
                new ConflictParty(parent!.Name) { Function = parent.Name },
                $"{parent.Name} lies {depth} bridges deep below {HostBridge.Name}, and there are only 256 bus numbers"));
            return nodes;
        }

        foreach (FunctionDemand function in functions.OrderBy(function => function.DeviceFunction).ThenBy(function => function.Name, StringComparer.Ordinal))
        {
            FunctionNode node = new(function, parent, _all.Count);
            _all.Add(node);
            nodes.Add(node);
            if (function.Bridge is { } bridge)
            {
                node.Children = Add(bridge.Functions, node, depth + 1, conflicts);
            }
        }

        return nodes;
    }
}
