using System.Collections.Immutable;
using Aperture.Host.Model;
using Aperture.Host.Reading;

namespace Aperture.Host.Building;

/// <summary>Concludes a machine from what a reader found.</summary>
internal static class HostBuilder
{
    /// <summary>Builds the machine.</summary>
    /// <exception cref="ApertureException">The buses are no tree, or nothing says what a function is.</exception>
    internal static HostMachine Build(RawHost raw)
    {
        List<HostFinding> findings = [];
        Dictionary<PciAddress, HostFunction> functions = [];
        foreach (RawFunction function in raw.Functions)
        {
            functions.Add(function.Address, FunctionDecoder.Decode(function, findings));
        }

        VirtualFunctions.Link(functions);
        LinkParents(functions, raw.Origin.Name, findings);
        SizeInference inference = new(functions.Values);
        foreach (PciAddress address in functions.Keys)
        {
            functions[address] = inference.Apply(functions[address]);
        }

        ImmutableArray<HostIommuGroup> groups = LinkGroups(functions, raw);
        ImmutableArray<HostFunction> ordered = [.. functions.Values.OrderBy(static function => function.Address)];
        findings.AddRange(HostChecks.Check(ordered, functions));
        findings.AddRange(raw.Vanished.Select(static address => new HostFinding(
            HostFindingSeverity.Warning, HostFindingKind.Configuration, address, $"{address} went away while the host was read, and is left out.")));
        return new HostMachine(raw.Origin, ordered)
        {
            HostBridges = HostBridges(ordered, functions),
            IommuGroups = groups,
            NumaNodes = [.. raw.NumaNodes.OrderBy(static node => node.Number)],
            KnowsIommuGroups = raw.KnowsIommuGroups,
            System = raw.System,
            Findings = [.. findings.OrderBy(static finding => finding.Severity).ThenBy(static finding => finding.Function)],
        };
    }

    private static void LinkParents(Dictionary<PciAddress, HostFunction> functions, string source, List<HostFinding> findings)
    {
        BusTree tree = new(functions, source, findings);
        Dictionary<PciAddress, List<PciAddress>> children = [];
        foreach (HostFunction function in functions.Values.OrderBy(static function => function.Address).ToList())
        {
            if (tree.ParentOf(function, findings) is not { } parent || parent.Address == function.Address)
            {
                continue;
            }

            functions[function.Address] = function with { Parent = parent.Address };
            if (!children.TryGetValue(parent.Address, out List<PciAddress>? list))
            {
                children.Add(parent.Address, list = []);
            }

            list.Add(function.Address);
        }

        foreach ((PciAddress parent, List<PciAddress> list) in children)
        {
            functions[parent] = functions[parent] with { Children = [.. list] };
        }
    }

    private static ImmutableArray<HostIommuGroup> LinkGroups(Dictionary<PciAddress, HostFunction> functions, RawHost raw)
    {
        SortedDictionary<int, (SortedSet<PciAddress> Members, ImmutableArray<HostReservedRegion> Regions)> groups = [];
        foreach (RawGroup group in raw.Groups)
        {
            groups[group.Number] = ([.. group.Functions], [.. group.Regions]);
        }

        // A capture may have the functions' links and not the groups, or the other way round.
        foreach (HostFunction function in functions.Values.Where(static function => function.IommuGroup is not null))
        {
            int number = function.IommuGroup!.Value;
            if (!groups.TryGetValue(number, out var group))
            {
                groups.Add(number, group = ([], []));
            }

            group.Members.Add(function.Address);
        }

        foreach ((int number, (SortedSet<PciAddress> members, ImmutableArray<HostReservedRegion> regions)) in groups)
        {
            foreach (PciAddress member in members)
            {
                functions[member] = functions[member] with { IommuGroup = functions[member].IommuGroup ?? number, ReservedRegions = regions };
            }
        }

        return [.. groups.Select(pair => new HostIommuGroup(pair.Key, [.. pair.Value.Members], pair.Value.Regions)
        {
            Type = raw.Groups.Find(group => group.Number == pair.Key)?.Type,
        })];
    }

    private static ImmutableArray<HostBridge> HostBridges(ImmutableArray<HostFunction> ordered, Dictionary<PciAddress, HostFunction> functions)
    {
        // A VF without a bridge above may carry a bus number next to its PF's: that bus is no root.
        return
        [
            .. ordered.Where(static function => function.Parent is null)
                .GroupBy(function => RootBus(function, functions))
                .OrderBy(static group => group.Key)
                .Select(static group => new HostBridge(group.Key.Domain, group.Key.Bus, [.. group.Select(static function => function.Address)])),
        ];
    }

    /// <summary>The root bus that a function without a bridge above it stands on.</summary>
    internal static (uint Domain, byte Bus) RootBus(HostFunction function, IReadOnlyDictionary<PciAddress, HostFunction> functions)
    {
        PciAddress place = function.PhysicalFunction is { } pf && functions.TryGetValue(pf, out HostFunction? physical) && physical.Parent is null
            ? pf
            : function.Address;
        return (place.Domain, place.Bus);
    }
}
