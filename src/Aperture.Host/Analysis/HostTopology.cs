using System.Collections.Immutable;

namespace Aperture.Host;

/// <summary>Questions about how a machine's functions hang together.</summary>
public static class HostTopology
{
    /// <summary>The bridges above <paramref name="function"/>, nearest first; empty on a root bus.</summary>
    public static ImmutableArray<HostFunction> BridgesAbove(HostMachine machine, HostFunction function) => throw new NotImplementedException();

    /// <summary>The host bridge above <paramref name="function"/>; null when the description does not tell.</summary>
    public static HostBridge? HostBridgeOf(HostMachine machine, HostFunction function) => throw new NotImplementedException();

    /// <summary>How far apart two functions are for peer-to-peer transfers.</summary>
    /// <exception cref="ApertureException">The machine has no such function.</exception>
    public static P2pDistance Distance(HostMachine machine, PciAddress from, PciAddress to) => throw new NotImplementedException();
}
