using System.Collections.Immutable;
using Aperture.Host.Model;
using Aperture.Pci.Capabilities;

namespace Aperture.Host.Analysis;

/// <summary>Works out the way between two functions and which ports' access control decides on it (PCI Express 5.0, section 6.12).</summary>
internal sealed class DistanceFinder(HostMachine machine, HostFunction from, HostFunction to)
{
    private readonly List<HostFunction> _up = [from, .. HostTopology.BridgesAbove(machine, from)];
    private readonly List<HostFunction> _down = [to, .. HostTopology.BridgesAbove(machine, to)];

    /// <summary>The distance.</summary>
    internal P2pDistance Find()
    {
        if (from.Address == to.Address)
        {
            return Result(P2pDistanceKind.SameFunction, [from.Address], []);
        }

        int upAt = _up.FindIndex(bridge => _down.Exists(other => other.Address == bridge.Address));
        if (upAt < 0)
        {
            return AboveAllBridges();
        }

        int downAt = _down.FindIndex(bridge => bridge.Address == _up[upAt].Address);
        ImmutableArray<PciAddress> path =
            [.. _up.Take(upAt + 1).Select(static f => f.Address), .. _down.Take(downAt).Reverse().Select(static f => f.Address)];
        if (upAt == 0 || downAt == 0)
        {
            // One is a bridge above the other: no peer's port is crossed.
            return Result(IsSwitchPort(_up[upAt]) ? P2pDistanceKind.SameSwitch : P2pDistanceKind.SameRootPort, path, []);
        }

        return BelowCommon(_up[upAt], _up[upAt - 1], _down[downAt - 1], path);
    }

    private P2pDistance BelowCommon(HostFunction common, HostFunction mine, HostFunction theirs, ImmutableArray<PciAddress> path)
    {
        bool bothHere = mine.Address == from.Address && theirs.Address == to.Address;
        if (bothHere && IsOneDevice(common))
        {
            return Result(P2pDistanceKind.SameDevice, [from.Address, to.Address], [Port(from), Port(to)]);
        }

        bool conventional = common.Pcie?.Type == HostPortType.PcieToPciBridge || common is { Pcie: null, KnowsCapabilities: true };
        if (conventional || (bothHere && mine.Bridge is null && theirs.Bridge is null))
        {
            return Result(P2pDistanceKind.SameBus, path, []);
        }

        // With the header alone there is no port type: a bridge below a bridge that has bridges below is what a switch looks like.
        bool isSwitch = IsSwitchPort(common) || (common.Pcie is null && common.Parent is not null);
        return Result(isSwitch ? P2pDistanceKind.SameSwitch : P2pDistanceKind.SameRootPort, path, [Port(mine), Port(theirs)]);
    }

    private P2pDistance AboveAllBridges()
    {
        HostFunction mine = _up[^1];
        HostFunction theirs = _down[^1];
        if (_up.Count == 1 && _down.Count == 1 && IsOneDevice(null))
        {
            return Result(P2pDistanceKind.SameDevice, [from.Address, to.Address], [Port(from), Port(to)]);
        }

        ImmutableArray<PciAddress> path = [.. _up.Select(static f => f.Address), .. Enumerable.Reverse(_down).Select(static f => f.Address)];
        HostBridge? left = HostTopology.HostBridgeOf(machine, mine);
        HostBridge? right = HostTopology.HostBridgeOf(machine, theirs);
        P2pDistanceKind kind = left is null || right is null ? P2pDistanceKind.Unknown
            : (left.Domain, left.RootBus) == (right.Domain, right.RootBus) ? P2pDistanceKind.SameRootComplex : P2pDistanceKind.AcrossHostBridges;
        return Result(kind, path, [Port(mine), Port(theirs)]);
    }

    /// <summary>Functions of one device: one device number on one bus; anything directly below a port, which has one device; a PF and its VFs.</summary>
    private bool IsOneDevice(HostFunction? above)
    {
        PciAddress mine = from.PhysicalFunction ?? from.Address;
        PciAddress theirs = to.PhysicalFunction ?? to.Address;
        return mine == theirs
            || (mine.Domain == theirs.Domain && mine.Bus == theirs.Bus
                && (mine.Bdf.Device == theirs.Bdf.Device || above?.Pcie?.Type is HostPortType.RootPort or HostPortType.SwitchDownstream));
    }

    private P2pDistance Result(P2pDistanceKind kind, ImmutableArray<PciAddress> path, ImmutableArray<P2pPort> ports)
    {
        P2pRouting routing = Routing(kind, ports);
        return new P2pDistance(from.Address, to.Address, kind, routing, path, ports, DistanceText.Describe(from, to, kind, routing, path, ports));
    }

    private static P2pRouting Routing(P2pDistanceKind kind, ImmutableArray<P2pPort> ports)
    {
        // Redirect sends a request up to its own root port's root complex: that it gets from there to another is not said.
        if (kind is not (P2pDistanceKind.AcrossHostBridges or P2pDistanceKind.Unknown) && ports.Any(static port => port.Redirects))
        {
            return P2pRouting.Redirected;
        }

        // Whether a root complex carries requests between its ports is the platform's own affair (PCI Express 5.0, section 1.3.1).
        bool decided = kind is not (P2pDistanceKind.SameRootComplex or P2pDistanceKind.AcrossHostBridges or P2pDistanceKind.Unknown);
        return decided && ports.All(static port => port.Known) ? P2pRouting.Direct : P2pRouting.Unknown;
    }

    private static bool IsSwitchPort(HostFunction bridge) => bridge.Pcie?.Type is HostPortType.SwitchUpstream or HostPortType.SwitchDownstream;

    private static P2pPort Port(HostFunction function) =>
        new(function.Address, function.Acs, function.KnowsExtendedConfig || (function.KnowsCapabilities && function.Pcie is null));
}

/// <summary>A distance as a sentence.</summary>
internal static class DistanceText
{
    /// <summary>The sentence.</summary>
    internal static string Describe(
        HostFunction from, HostFunction to, P2pDistanceKind kind, P2pRouting routing, ImmutableArray<PciAddress> path, ImmutableArray<P2pPort> ports)
    {
        string place = kind switch
        {
            P2pDistanceKind.SameFunction => $"{from.Address} is one function",
            P2pDistanceKind.SameDevice => $"{from.Address} and {to.Address} are functions of one device",
            P2pDistanceKind.SameBus => $"{from.Address} and {to.Address} are on one conventional bus",
            P2pDistanceKind.SameSwitch => $"{from.Address} and {to.Address} are below one switch",
            P2pDistanceKind.SameRootPort => $"{from.Address} and {to.Address} are below one root port",
            P2pDistanceKind.SameRootComplex => $"{from.Address} and {to.Address} are below different ports of one host bridge",
            P2pDistanceKind.AcrossHostBridges => $"{from.Address} and {to.Address} are below different host bridges",
            _ => $"how {from.Address} and {to.Address} are connected is not known",
        };
        string way = path.Length > 2 ? $" (by way of {string.Join(", ", path.Skip(1).Take(path.Length - 2))})" : "";
        return $"{place}{way}: {Routing(kind, routing)}{Completions(routing, ports)}{Ports(ports)}{Translated(from, routing, ports)}";
    }

    private static string Routing(P2pDistanceKind kind, P2pRouting routing) => routing switch
    {
        P2pRouting.Direct => "requests go straight to the peer, by its bus address",
        P2pRouting.Redirected => "ACS sends requests up to the root complex and its IOMMU",
        _ when kind is P2pDistanceKind.SameRootComplex or P2pDistanceKind.AcrossHostBridges =>
            "whether the root complex carries requests between them is up to the platform",
        _ => "whether ACS redirects requests is not known",
    };

    private static string Completions(P2pRouting routing, ImmutableArray<P2pPort> ports) =>
        routing == P2pRouting.Direct && ports.Any(static port => port.Acs is { } acs && (acs.Enabled & AcsControls.CompletionRedirect) != 0)
            ? ", their completions by way of the root complex"
            : "";

    private static string Ports(ImmutableArray<P2pPort> ports) => ports.IsEmpty
        ? ""
        : "; " + string.Join(", ", ports.Select(static port =>
            $"{port.Port} has {(port.Acs is { } acs ? $"ACS {acs.Describe()}" : port.Known ? "no ACS" : "ACS not known")}"));

    /// <summary>
    /// Redirect does not hold for requests that are already translated where every port allows direct translated P2P (PCI Express 5.0, section 6.12.3).
    /// </summary>
    private static string Translated(HostFunction from, P2pRouting routing, ImmutableArray<P2pPort> ports) =>
        routing == P2pRouting.Redirected && from.Ats is { Enabled: true }
            && ports.All(static port => port.Acs is { } acs && (acs.Enabled & AcsControls.DirectTranslated) != 0)
            ? "; translated requests (ATS) go straight all the same"
            : "";
}
