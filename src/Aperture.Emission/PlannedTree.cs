using System.Globalization;
using Aperture.Placement.Map;

namespace Aperture.Emission;

/// <summary>A map's functions with their roles and identifiers.</summary>
internal sealed class PlannedTree
{
    private readonly HashSet<string> _ids;
    private readonly bool _segments;
    private readonly bool _dots;

    private PlannedTree(PlacementMap map, bool dots, IEnumerable<string> taken)
    {
        _dots = dots;
        _ids = new HashSet<string>(taken, StringComparer.OrdinalIgnoreCase);
        _segments = map.HostBridges.Any(host => host.Segment != 0);
        HostIds = [.. map.HostBridges.Select(host => Unique(host.Name))];
        Roots = [.. map.HostBridges.Select((host, index) => Add(host, index, null, host.Functions))];
    }

    /// <summary>The functions on each host bridge's root bus.</summary>
    public IReadOnlyList<List<PlannedFunction>> Roots { get; }

    /// <summary>An identifier for each host bridge.</summary>
    public IReadOnlyList<string> HostIds { get; }

    /// <summary>Every function, each bridge before what lies behind it.</summary>
    public List<PlannedFunction> All { get; } = [];

    /// <summary>Reads a map. Identifiers stay clear of <paramref name="taken"/>.</summary>
    public static PlannedTree Of(PlacementMap map, params string[] taken) => new(map, true, taken);

    /// <summary>Reads a map. Identifiers have no dots.</summary>
    public static PlannedTree WithoutDots(PlacementMap map) => new(map, false, []);

    private List<PlannedFunction> Add(HostBridgePlacement host, int index, PlannedFunction? parent, IReadOnlyList<FunctionPlacement> functions)
    {
        List<PlannedFunction> bus = [];
        foreach (FunctionPlacement function in functions)
        {
            string segment = _segments ? string.Create(CultureInfo.InvariantCulture, $"{host.Segment:x4}:") : "";
            PlannedFunction planned = new(host, index, parent, function, Role(index, parent, function), Unique(function.Name))
            {
                Children = [],
                Title = $"{segment}{function.Address} {Words.Plain(function.Name)}",
            };
            bus.Add(planned);
            All.Add(planned);
            planned.Children.AddRange(Add(host, index, planned, function.Bridge?.Functions ?? []));
        }

        foreach (PlannedFunction planned in bus)
        {
            planned.SharesDevice = bus.Exists(other => other != planned && other.Address.Device == planned.Address.Device);
        }

        return bus;
    }

    private static FunctionRole Role(int host, PlannedFunction? parent, FunctionPlacement function) => (function, parent) switch
    {
        ({ Bridge: null, Bars.Count: 0, Address: { Device: 0, Function: 0 } or { Device: 0x1F } }, null) when host == 0 => FunctionRole.Board,
        ({ Bridge: null }, _) => FunctionRole.Endpoint,
        (_, null) => FunctionRole.RootPort,
        (_, { Role: FunctionRole.SwitchUpstream }) => FunctionRole.SwitchDownstream,
        _ => FunctionRole.SwitchUpstream,
    };

    private string Unique(string name)
    {
        string id = Words.Identifier(name, _dots);
        for (int i = 2; !_ids.Add(id); i++)
        {
            id = string.Create(CultureInfo.InvariantCulture, $"{Words.Identifier(name, _dots)}-{i}");
        }

        return id;
    }
}
