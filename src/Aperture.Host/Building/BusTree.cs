using Aperture.Host.Model;

namespace Aperture.Host.Building;

/// <summary>Finds each function's bridge from the bus numbers in the bridges' headers.</summary>
internal sealed class BusTree
{
    private readonly Dictionary<(uint Domain, byte Bus), HostFunction> _bySecondary = [];
    private readonly Dictionary<(uint Domain, byte Bus), HostFunction> _byRange = [];
    private readonly Dictionary<PciAddress, HostFunction> _functions;
    private readonly string _source;

    /// <summary>Sorts the bridges out.</summary>
    /// <exception cref="ApertureException">A bridge contains itself, two bridges lead to one bus, or bus numbers go round in circles: such buses are no
    /// tree.</exception>
    internal BusTree(Dictionary<PciAddress, HostFunction> functions, string source, List<HostFinding> findings)
    {
        _functions = functions;
        _source = source;
        foreach (HostFunction bridge in functions.Values.Where(static function => function.Bridge is { Configured: true })
            .OrderBy(static function => function.Address))
        {
            Add(bridge, findings);
        }

        CheckCircles();
        foreach (HostFunction bridge in _bySecondary.Values)
        {
            CheckNesting(bridge, findings);
        }
    }

    /// <summary>The bridge above; null on a root bus. A VF whose bus no bridge names stands where its PF does (its bus is a number only).</summary>
    internal HostFunction? ParentOf(HostFunction function, List<HostFinding> findings)
    {
        if (_bySecondary.TryGetValue((function.Address.Domain, function.Address.Bus), out HostFunction? bridge))
        {
            return bridge;
        }

        if (function.PhysicalFunction is { } pf && _functions.TryGetValue(pf, out HostFunction? physical) && !physical.IsVirtualFunction)
        {
            return ParentOf(physical, []);
        }

        if (_byRange.TryGetValue((function.Address.Domain, function.Address.Bus), out bridge))
        {
            findings.Add(new HostFinding(
                HostFindingSeverity.Warning,
                HostFindingKind.MissingBridge,
                function.Address,
                $"the bridge to bus {function.Address.Bus:x2}, where {function.Address} is, is missing from the description; {bridge.Address} above it "
                    + "forwards that bus"));
            return bridge;
        }

        return null;
    }

    private void Add(HostFunction bridge, List<HostFinding> findings)
    {
        PciAddress address = bridge.Address;
        (byte secondary, byte subordinate) = (bridge.Bridge!.Secondary, bridge.Bridge.Subordinate);
        if (secondary == address.Bus || (secondary < address.Bus && address.Bus <= subordinate))
        {
            throw new ApertureException(
                $"{_source}: the bridge {address} contains itself: it stands on bus {address.Bus:x2} and forwards buses {secondary:x2} to {subordinate:x2}");
        }

        if (!_bySecondary.TryAdd((address.Domain, secondary), bridge))
        {
            throw new ApertureException(
                $"{_source}: bus {secondary:x2} of domain {address.Domain:x4} is below two bridges, {_bySecondary[(address.Domain, secondary)].Address} and "
                    + $"{address}");
        }

        if (subordinate < secondary)
        {
            findings.Add(new HostFinding(
                HostFindingSeverity.Warning,
                HostFindingKind.BusNumbers,
                address,
                $"the bridge {address} forwards no bus: its subordinate bus {subordinate:x2} is below its secondary bus {secondary:x2}"));
        }

        for (int bus = secondary + 1; bus <= subordinate; bus++)
        {
            // The innermost of the bridges that forward a bus is the one with the highest secondary bus.
            (uint, byte) key = (address.Domain, (byte)bus);
            if (!_byRange.TryGetValue(key, out HostFunction? outer) || outer.Bridge!.Secondary < secondary)
            {
                _byRange[key] = bridge;
            }
        }
    }

    private void CheckCircles()
    {
        foreach (HostFunction start in _bySecondary.Values)
        {
            HostFunction? at = start;
            for (int steps = 0; _bySecondary.TryGetValue((at.Address.Domain, at.Address.Bus), out at); steps++)
            {
                if (steps > byte.MaxValue)
                {
                    throw new ApertureException($"{_source}: the bus numbers above {start.Address} go round in circles: no host bridge is ever reached");
                }
            }
        }
    }

    private void CheckNesting(HostFunction bridge, List<HostFinding> findings)
    {
        if (_bySecondary.TryGetValue((bridge.Address.Domain, bridge.Address.Bus), out HostFunction? above)
            && (bridge.Bridge!.Secondary <= above.Bridge!.Secondary || bridge.Bridge.Subordinate > above.Bridge.Subordinate))
        {
            findings.Add(new HostFinding(
                HostFindingSeverity.Warning,
                HostFindingKind.BusNumbers,
                bridge.Address,
                $"the bridge {bridge.Address} forwards buses {bridge.Bridge.Secondary:x2} to {bridge.Bridge.Subordinate:x2}, which {above.Address} above it "
                    + $"does not (it forwards {above.Bridge.Secondary:x2} to {above.Bridge.Subordinate:x2})"));
        }
    }
}
