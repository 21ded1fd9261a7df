using System.Numerics;
using Aperture.Pci;

namespace Aperture.Placement;

/// <summary>What is wrong with a function's BARs on their own, wherever they would go (PCI 3.0, 6.2.5; PCI-to-PCI Bridge 1.2, 3.2.5 for a bridge's two BARs).</summary>
internal static class DemandCheck
{
    private const ulong SmallestIo = 4;
    private const ulong LargestIo = 0x1_0000;
    private const ulong SmallestMemory = 16;
    private const ulong SmallestRom = 2048;
    private const ulong LargestRom = 16UL << 20;
    private const ulong LargestMemory32 = 1UL << 31;

    public static void Run(Topology topology, int addressBits, List<PlacementConflict> conflicts)
    {
        Dictionary<string, FunctionNode> names = new(StringComparer.Ordinal);
        HashSet<(FunctionNode?, byte)> places = [];
        Dictionary<(FunctionNode?, byte), FunctionNode> owners = [];
        foreach (FunctionNode node in topology.All)
        {
            if (!names.TryAdd(node.Name, node))
            {
                conflicts.Add(Bad(node, $"two functions are called {node.Name}: names must be unique"));
            }

            if (!places.Add((node.Parent, node.Demand.DeviceFunction)))
            {
                Bdf at = new(node.Demand.DeviceFunction);
                FunctionNode other = owners[(node.Parent, node.Demand.DeviceFunction)];
                string bus = node.Parent?.Name ?? topology.HostBridge.Name;
                conflicts.Add(Bad(node, $"{node.Name} cannot be function {at.Device:x2}.{at.Function} below {bus}: {other.Name} is there"));
            }

            owners.TryAdd((node.Parent, node.Demand.DeviceFunction), node);
            CheckBars(node, addressBits, conflicts);
        }
    }

    private static void CheckBars(FunctionNode node, int addressBits, List<PlacementConflict> conflicts)
    {
        int taken = 0;
        foreach (BarDemand bar in node.Demand.Bars)
        {
            BarBlock block = new(node, bar, ignorePin: true);
            if (Fault(bar, node.Demand.Bridge is not null, addressBits) is { } fault)
            {
                conflicts.Add(new PlacementConflict(fault.Kind, block.Party(null), $"{block.LongName} {fault.Text}"));
                continue;
            }

            int registers = (bar.Kind.Is64Bit() ? 3 : 1) << bar.Index;
            if ((taken & registers) != 0)
            {
                conflicts.Add(new PlacementConflict(
                    PlacementConflictKind.BadDemand, block.Party(null), $"{block.LongName} needs a register that another BAR of {node.Name} takes: a 64-bit BAR also takes the next index"));
            }

            taken |= registers;
        }
    }

    private static (PlacementConflictKind Kind, string Text)? Fault(BarDemand bar, bool onBridge, int addressBits)
    {
        // A type 1 header has room for two base address registers only.
        int registers = onBridge ? 2 : 6;
        bool isRom = bar.Kind == BarKind.Rom;
        if (isRom != (bar.Index == BarKinds.RomIndex) || bar.Kind > BarKind.Rom)
        {
            return (PlacementConflictKind.BadDemand, $"is not a BAR: index {BarKinds.RomIndex} is the expansion ROM's, and only its");
        }

        if (!isRom && (bar.Index < 0 || bar.Index + (bar.Kind.Is64Bit() ? 2 : 1) > registers))
        {
            return (PlacementConflictKind.BadDemand, $"does not fit in the {registers} base address registers of its function");
        }

        if (!BitOperations.IsPow2(bar.Size))
        {
            return (PlacementConflictKind.NotPowerOfTwo, NearestPowers(bar.Size));
        }

        (ulong smallest, ulong largest) = bar.Kind switch
        {
            BarKind.Io => (SmallestIo, LargestIo),
            BarKind.Rom => (SmallestRom, LargestRom),
            BarKind.Memory64 or BarKind.Memory64Prefetchable => (SmallestMemory, 1UL << (addressBits - 1)),
            _ => (SmallestMemory, LargestMemory32),
        };
        return bar.Size < smallest || bar.Size > largest
            ? (PlacementConflictKind.BadDemand, $"has no legal size: {bar.Kind.Keyword()} goes from {ByteSize.Format(smallest)} to {ByteSize.Format(largest)} here")
            : null;
    }

    private static string NearestPowers(ulong size)
    {
        const ulong Largest = 1UL << 63;
        if (size == 0)
        {
            return "has no size: a BAR's size is a power of two";
        }

        ulong below = Largest >> BitOperations.LeadingZeroCount(size);
        string near = below == Largest ? ByteSize.Format(below) : $"{ByteSize.Format(below)} and {ByteSize.Format(below * 2)}";
        return $"has a size that is not a power of two: the nearest that are: {near}";
    }

    private static PlacementConflict Bad(FunctionNode node, string sentence) =>
        new(PlacementConflictKind.BadDemand, new ConflictParty(node.Name) { Function = node.Name }, sentence);
}
