using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.Placement.Map;

namespace Aperture.Board;

/// <summary>A BAR that the handover put elsewhere.</summary>
/// <param name="Bar">The BAR.</param>
/// <param name="Firmware">Where firmware had put it; 0 when nowhere.</param>
/// <param name="Address">Where it is from now on; 0 when nowhere.</param>
internal readonly record struct HandedBar(Bar Bar, GuestAddress Firmware, GuestAddress Address);

/// <summary>
/// Puts the plan in place of what firmware programmed, when the operating system takes the machine over: BARs, bridge windows, bus numbers, the ECAM window,
/// and pins come into force. Decoding stays on or off as it was. RAM is where its registers say, which is where the plan has it unless firmware moved it: the
/// operating system has read the memory map by then, so RAM never moves here. With the hierarchy's lock held.
/// </summary>
internal sealed class Handover(PciHierarchy hierarchy, IChipset chipset, PlacementMap map)
{
    private const PciCommand Decoding = PciCommand.IoSpace | PciCommand.MemorySpace;
    private readonly HashSet<PciFunction> _planned = [];

    /// <summary>Changes the registers; the caller applies them.</summary>
    /// <returns>The BARs that moved, in bus order.</returns>
    public IReadOnlyList<HandedBar> Program()
    {
        List<HandedBar> before = [.. hierarchy.Functions.SelectMany(f => f.Bars).Select(b => new HandedBar(b, b.Programmed, b.Programmed))];
        hierarchy.InOneStep(() =>
        {
            chipset.ProgramEcam(map);
            hierarchy.HoldPins(true);
            foreach (HostBridgePlacement bridge in map.HostBridges)
            {
                Place(hierarchy.Root, bridge.Functions);
            }

            foreach (PciFunction function in hierarchy.Functions.Where(f => f.Bars.Count > 0 && !_planned.Contains(f)))
            {
                Unassign(function);
            }
        });

        List<HandedBar> moved = [.. before.Select(b => b with { Address = b.Bar.Programmed }).Where(b => b.Address != b.Firmware)];
        foreach (PciFunction function in moved.Select(b => b.Bar.Function).Distinct())
        {
            Quiet(function);
        }

        return moved;
    }

    private void Place(PciBus bus, IReadOnlyList<FunctionPlacement> functions)
    {
        foreach (FunctionPlacement placement in functions)
        {
            if (PciProgrammer.Find(bus, placement) is not { } function)
            {
                continue;
            }

            _planned.Add(function);
            foreach (Bar bar in function.Bars.Where(b => placement.Bar(b.Index) is null))
            {
                function.ProgramBar(bar.Index, bar.HeldPin ?? GuestAddress.Zero);
            }

            PciProgrammer.ProgramPlaces(function, placement);
            if (placement.Bridge is { } windows && function is PciBridge bridge)
            {
                Place(bridge.Secondary, windows.Functions);
            }
        }
    }

    // What came after the plan was made has no place in it: the operating system finds one in the port's windows.
    private static void Unassign(PciFunction function)
    {
        foreach (Bar bar in function.Bars)
        {
            function.ProgramBar(bar.Index, bar.HeldPin ?? GuestAddress.Zero);
        }

        function.ProgramCommand(0, Decoding);
    }

    // Firmware's driver may still have a transfer under way (a BIOS never stops its devices); the operating system's own driver turns bus mastering on again.
    private static void Quiet(PciFunction function)
    {
        PciCommand off = PciCommand.BusMaster;
        if (function.Bars.Any(b => b.Kind == BarKind.Io) && function.Bars.All(b => b.Kind != BarKind.Io || b.Programmed == GuestAddress.Zero))
        {
            // Ports from 0 on are the board's own: a BAR without an address must not be decoded there.
            off |= PciCommand.IoSpace;
        }

        if (function is not PciBridge)
        {
            function.ProgramCommand(0, off);
        }
    }
}
