using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.Placement.Map;

namespace Aperture.Board;

/// <summary>Programs a placement into the registers, as firmware does before it starts an operating system.</summary>
public static class PciProgrammer
{
    private const PciCommand Decoding = PciCommand.IoSpace | PciCommand.MemorySpace;

    /// <summary>Chipset, bus numbers, bridge windows, BARs, then decoding; the address spaces follow in one step at the end.</summary>
    public static void Program(PciBoard board, PlacementMap map)
    {
        ArgumentNullException.ThrowIfNull(board);
        ArgumentNullException.ThrowIfNull(map);
        lock (board.Pci.Sync)
        {
            board.Chipset.Program(map);
            foreach (HostBridgePlacement bridge in map.HostBridges)
            {
                Program(board.Pci.Root, bridge.Functions);
            }

            board.Apply();
        }
    }

    /// <summary>The function that <paramref name="placement"/> was made for; one that was taken out, or replaced by another, is not what was planned.</summary>
    internal static PciFunction? Find(PciBus bus, FunctionPlacement placement) =>
        bus.Functions.FirstOrDefault(f => f.DeviceFunction == placement.Address.DeviceFunction && f.Name == placement.Name);

    /// <summary>The registers of <paramref name="function"/> that say where it and what is behind it are; not the command register.</summary>
    internal static void ProgramPlaces(PciFunction function, FunctionPlacement placement)
    {
        foreach (BarPlacement bar in placement.Bars)
        {
            // An assigned device's ROM is left out when it cannot be read.
            if (function.FindBar(bar.Demand.Index) is not null)
            {
                function.ProgramBar(bar.Demand.Index, bar.Address);
            }
        }

        if (placement.Bridge is { } windows && function is PciBridge bridge)
        {
            bridge.ProgramBusNumbers(windows.Primary, windows.Secondary, windows.Subordinate);
            bridge.ProgramWindow(BridgeWindow.Io, windows.Io);
            bridge.ProgramWindow(BridgeWindow.Memory, windows.Memory);
            bridge.ProgramWindow(BridgeWindow.Prefetchable, windows.Prefetchable);
        }
    }

    private static void Program(PciBus bus, IReadOnlyList<FunctionPlacement> functions)
    {
        foreach (FunctionPlacement placement in functions)
        {
            // The window of one that is gone stays for the next one.
            if (Find(bus, placement) is not { } function)
            {
                continue;
            }

            ProgramPlaces(function, placement);
            if (placement.Bridge is { } windows && function is PciBridge bridge)
            {
                Program(bridge.Secondary, windows.Functions);
                function.ProgramCommand(Decoding | PciCommand.BusMaster, Decoding | PciCommand.BusMaster);
            }
            else if (placement.Bars.Count > 0)
            {
                // A BAR without an address must not be decoded at 0.
                bool hasPorts = placement.Bars.Any(bar => bar.Demand.Kind == BarKind.Io) || placement.Demand.Bars.All(bar => bar.Kind != BarKind.Io);
                function.ProgramCommand(Decoding, hasPorts ? Decoding : PciCommand.MemorySpace);
            }
        }
    }
}
