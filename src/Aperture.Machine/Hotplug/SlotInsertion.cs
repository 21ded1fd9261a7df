using Aperture.Board;
using Aperture.Configuration;
using Aperture.Host.Model;
using Aperture.Machine.Functions;
using Aperture.Machine.Topology;
using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Placement.Request;

namespace Aperture.Machine.Hotplug;

/// <summary>Puts devices into a slot of a running machine: all that were asked for together, or none of them. One thread at a time.</summary>
/// <param name="board">The board.</param>
/// <param name="nodes">Says in its terms what is attached.</param>
/// <param name="config">The machine's configuration.</param>
/// <param name="host">The host that has the devices; null for this one.</param>
internal sealed class SlotInsertion(PciBoard board, BoardNodes nodes, MachineConfig config, HostMachine? host)
{
    /// <summary>Called once all functions of a request are made, while the guest cannot see them yet; may throw.</summary>
    public Action<IReadOnlyList<PciFunction>>? Made { get; set; }

    /// <summary>
    /// Puts the devices that <paramref name="specs"/> describe into the slot that they name. The guest is not told. <paramref name="descriptors"/>: as in
    /// <see cref="HotplugController"/>.
    /// </summary>
    /// <exception cref="ApertureException">It cannot be; nothing of them is there, and the host has its devices back.</exception>
    public (PcieSlotPort Port, IReadOnlyList<PciFunction> Functions) Insert(
        IReadOnlyList<string> specs, IReadOnlyDictionary<int, int> descriptors)
    {
        SlotPlan plan = SlotPlan.Read(specs, descriptors, config, host);
        PcieSlotPort port = FindPort(plan.Port);
        CheckFree(plan, port);
        foreach (TopologyNode node in plan.Nodes)
        {
            CheckPins(node, port);
        }

        return (port, board.Plug(port.Secondary, [.. nodes.Of(plan.Nodes).Cast<DeviceNode>()], made => Made?.Invoke(made)));
    }

    private PcieSlotPort FindPort(string name)
    {
        lock (board.Pci.Sync)
        {
            PciFunction? found = board.Pci.Functions.FirstOrDefault(f => f.Name == name);
            string ports = string.Join(", ", board.Pci.Functions.OfType<PcieSlotPort>().Where(p => !p.IsOccupied).Select(p => p.Name));
            return found as PcieSlotPort ?? throw new ApertureException(
                $"{name} is {(found is null ? "not there" : "not a port with a slot")}; "
                    + $"{(ports.Length > 0 ? $"empty ports are {ports}" : "no port is empty: start the machine with --root-port id=ID")}.");
        }
    }

    private void CheckFree(SlotPlan plan, PcieSlotPort port)
    {
        lock (board.Pci.Sync)
        {
            if (port.IsOccupied)
            {
                string names = string.Join(" and ", plan.Nodes.Select(node => node.Name));
                throw new ApertureException(
                    $"{names} cannot be attached to {port.Name}, where {port.Secondary.Functions[0].Name} is; detach that first, or name another port.");
            }

            if (plan.Nodes.FirstOrDefault(node => board.Pci.Functions.Any(f => f.Name == node.Name)) is { } twice)
            {
                throw new ApertureException($"The id {twice.Name} is taken; give the device another one.");
            }
        }
    }

    // Before anything is opened.
    private void CheckPins(TopologyNode node, PcieSlotPort port)
    {
        foreach (BarDemand bar in node.Assigned?.Bars ?? node.Device?.Demands ?? [])
        {
            if (bar.Pin is not { } pin)
            {
                continue;
            }

            // A VF BAR is aligned to one VF's share and takes that for each VF.
            ulong whole = bar.Index > BarKinds.RomIndex ? Math.Max(bar.Size, 4096) * (ulong)(node.Device?.Sriov?.TotalVfs ?? 1) : bar.Size;
            ulong last = bar.Kind.Is64Bit() ? (ulong)long.MaxValue : uint.MaxValue;
            if (!pin.IsAligned(bar.Size) || pin.Value > last || last - pin.Value < whole - 1)
            {
                throw new ApertureException(
                    $"{node.Name} {BarKinds.BarName(bar.Index)} cannot be pinned at {pin}: the address of a {bar.Kind.Keyword()} BAR of "
                        + $"{ByteSize.Format(bar.Size)} is a multiple of its size, and the BAR ends at or below 0x{last:x}.");
            }

            CheckForwarded($"{node.Name} {BarKinds.BarName(bar.Index)}", new AddressRange(pin, whole), bar.Kind, port);
        }
    }

    // The port's windows are the guest's: what it does not forward now, no driver will reach at its pin.
    private void CheckForwarded(string bar, AddressRange range, BarKind kind, PcieSlotPort port)
    {
        AddressRange[] open;
        lock (board.Pci.Sync)
        {
            BridgeWindow[] windows = kind == BarKind.Io ? [BridgeWindow.Io] : [BridgeWindow.Memory, BridgeWindow.Prefetchable];
            open = [.. windows.Select(w => port.Window(w)).OfType<AddressRange>()];
        }

        if (!Array.Exists(open, window => window.Contains(range)))
        {
            string forwarded = open.Length > 0 ? string.Join(" and ", open) : "nothing";
            throw new ApertureException(
                $"{bar} cannot be pinned at {range}: {port.Name} forwards {forwarded}; keep room there "
                    + "with prefetchable=BASE:SIZE or memory=BASE:SIZE of --root-port.");
        }
    }
}
