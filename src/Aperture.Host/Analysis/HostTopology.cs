using System.Collections.Immutable;
using Aperture.Host.Building;
using Aperture.Host.Model;

namespace Aperture.Host.Analysis;

/// <summary>Questions about how a machine's functions hang together.</summary>
public static class HostTopology
{
    /// <summary>The bridges above <paramref name="function"/>, nearest first; empty on a root bus.</summary>
    public static ImmutableArray<HostFunction> BridgesAbove(HostMachine machine, HostFunction function)
    {
        ImmutableArray<HostFunction>.Builder bridges = ImmutableArray.CreateBuilder<HostFunction>();
        for (HostFunction? at = ParentOf(machine, function); at is not null; at = ParentOf(machine, at))
        {
            bridges.Add(at);
        }

        return bridges.ToImmutable();
    }

    /// <summary>The host bridge above <paramref name="function"/>; null when the machine does not hold the function.</summary>
    public static HostBridge? HostBridgeOf(HostMachine machine, HostFunction function)
    {
        HostFunction top = BridgesAbove(machine, function) is { IsEmpty: false } bridges ? bridges[^1] : function;
        (uint domain, byte bus) = HostBuilder.RootBus(top, machine.ByAddress);
        return machine.HostBridges.FirstOrDefault(bridge => bridge.Domain == domain && bridge.RootBus == bus);
    }

    /// <summary>How far apart two functions are for peer-to-peer transfers.</summary>
    /// <exception cref="ApertureException">The machine has no such function.</exception>
    public static P2pDistance Distance(HostMachine machine, PciAddress from, PciAddress to) =>
        new DistanceFinder(machine, Require(machine, from), Require(machine, to)).Find();

    private static HostFunction? ParentOf(HostMachine machine, HostFunction function) =>
        function.Parent is { } parent ? machine.Find(parent) : null;

    private static HostFunction Require(HostMachine machine, PciAddress address) => machine.Find(address)
        ?? throw new ApertureException($"{machine.Origin.Name}: there is no function {address}; 'aperture host' lists those that are there");
}
