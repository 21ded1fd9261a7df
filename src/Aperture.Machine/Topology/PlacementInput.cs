using Aperture.Board;
using Aperture.Configuration;
using Aperture.Devices.Pc;
using Aperture.Host.Model;
using Aperture.Hypervisor;
using Aperture.Mirror;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Machine.Topology;

/// <summary>States a machine's topology as the solver's request.</summary>
public static class PlacementInput
{
    // 1 MiB a bus (PCI Express 5.0, 7.2.2).
    private const int EcamBusShift = 20;

    /// <summary>The request for <paramref name="config"/> with <paramref name="root"/> on bus 0, in what <paramref name="hypervisor"/> leaves free.</summary>
    public static PlacementRequest For(MachineConfig config, IReadOnlyList<TopologyNode> root, HypervisorLimits hypervisor) =>
        For(config, root, hypervisor, null);

    /// <summary>As the other overload; devices of <paramref name="host"/> cannot reach all addresses, so those are kept free.</summary>
    public static PlacementRequest For(MachineConfig config, IReadOnlyList<TopologyNode> root, HypervisorLimits hypervisor, HostMachine? host)
    {
        ArgumentNullException.ThrowIfNull(hypervisor);
        PlatformLimits board = config.Board switch
        {
            BoardKind.Q35 => PlatformLimits.Q35(config.MemorySize, hypervisor.PhysicalAddressBits),
            BoardKind.I440Fx => PlatformLimits.I440fx(config.MemorySize, hypervisor.PhysicalAddressBits),
            _ => PlatformLimits.Virt(config.MemorySize, hypervisor.PhysicalAddressBits),
        };
        IReadOnlyList<ReservedRange> reserved = [.. board.Reserved, .. Kept(hypervisor)];
        List<ReservedRange> kept = [.. HostReserved(root, host, reserved)];
        PlatformLimits limits = board with
        {
            // ECAM can be anywhere; what the host keeps cannot.
            Ecam = board.Ecam is { Pin: { } pin } ecam && kept.Exists(range => range.Range.Overlaps(new AddressRange(pin, ecam.Size)))
                ? ecam with { Pin = null } : board.Ecam,
            Mmio32Window = config.Mmio32Window,
            Mmio64Window = config.MmioWindow,
            Reserved = [.. reserved, .. kept],
            ReservedIo =
            [
                .. DebugExitPorts.Read(config)
                    .Select(p => new ReservedRange(new AddressRange(new GuestAddress(p), DebugExit.Length), $"debug-exit at 0x{p:x}")),
                .. PcTestDevicePorts.Reserved(config),
            ],
        };
        HostBridgeDemand bridge = new(Boards.IsExpress(config.Board) ? "pcie.0" : "pci.0", [.. root.Select(Demand)])
        {
            // A bus that ECAM does not show cannot be reached.
            LastBus = board.Ecam is { } window ? (byte)((window.Size >> EcamBusShift) - 1) : byte.MaxValue,
        };
        return new PlacementRequest(limits, [bridge]);
    }

    /// <summary>What <paramref name="hypervisor"/> keeps for itself, in the solver's terms.</summary>
    internal static IReadOnlyList<ReservedRange> Kept(HypervisorLimits hypervisor) =>
        [.. hypervisor.Kept.Select(kept => new ReservedRange(kept.Range, kept.What))];

    // The board has the MSI window reserved for itself, so it is left out where the host says the same.
    private static IEnumerable<ReservedRange> HostReserved(IReadOnlyList<TopologyNode> root, HostMachine? host, IReadOnlyList<ReservedRange> reserved)
    {
        List<HostFunction> functions = [.. Walk(root).Select(n => n.Assigned?.Host).OfType<HostFunction>()];
        return host is null || functions.Count == 0
            ? []
            : HostReserves.ForAssignment(host, functions).Where(range => !reserved.Any(known => known.Range.Contains(range.Range)));
    }

    private static IEnumerable<TopologyNode> Walk(IEnumerable<TopologyNode> nodes) => nodes.SelectMany(n => Walk(n.Children).Prepend(n));

    private static FunctionDemand Demand(TopologyNode node) => new(node.Name, node.DeviceFunction, Bars(node))
    {
        Bridge = !node.IsBridge ? null : new BridgeDemand([.. node.Children.Select(Demand)])
        {
            Reserve = node.Room?.Reserve,
            MemoryWindow = node.Room?.Memory,
            PrefetchableWindow = node.Room?.Prefetchable,
        },
        Sriov = node.Device?.Sriov,
    };

    private static IReadOnlyList<BarDemand> Bars(TopologyNode node) => node.Assigned?.Bars ?? node.Device?.Demands ?? [];
}
