using System.Numerics;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.Placement.Search;

namespace Aperture.Placement.Checks;

/// <summary>
/// What is wrong with a function's BARs on their own, wherever they would go (PCI 3.0, 6.2.5; PCI-to-PCI Bridge 1.2, 3.2.5 for a bridge's two BARs).
/// </summary>
internal static class DemandCheck
{
    private const ulong SmallestIo = 4;
    private const ulong LargestIo = 0x1_0000;
    private const ulong SmallestMemory = 16;
    private const ulong SmallestRom = 2048;
    private const ulong LargestRom = 16UL << 20;
    private const ulong LargestMemory32 = 1UL << 31;
    private const int MostSizes = 40;

    // A request that is wrong throughout is not told ten thousand times.
    private const int MostConflicts = 100;

    public static void Run(Topology topology, int addressBits, List<PlacementConflict> conflicts)
    {
        Dictionary<string, FunctionNode> names = new(topology.All.Count, StringComparer.Ordinal);
        foreach (FunctionNode node in topology.All.TakeWhile(_ => conflicts.Count < MostConflicts))
        {
            if (!names.TryAdd(node.Name, node))
            {
                conflicts.Add(Bad(node, $"two functions are called {node.Name}: names must be unique"));
            }

            CheckBars(node, addressBits, conflicts);
            if (node.Demand.Bridge is { } bridge)
            {
                CheckReserve(node, bridge.Reserve, addressBits, conflicts);
                CheckPlaces(node.Children, node.Name, conflicts);
            }
        }

        for (int host = 0; host < topology.Hosts.Count; host++)
        {
            CheckPlaces(topology.Roots[host], topology.Hosts[host].Name, conflicts);
        }
    }

    /// <summary>Functions on a bus are sorted by their place, so two at one place are neighbours.</summary>
    private static void CheckPlaces(IReadOnlyList<FunctionNode> bus, string name, List<PlacementConflict> conflicts)
    {
        FunctionNode? owner = null;
        foreach (FunctionNode node in bus)
        {
            if (owner?.Demand.DeviceFunction != node.Demand.DeviceFunction)
            {
                owner = node;
            }
            else if (conflicts.Count < MostConflicts)
            {
                Bdf at = new(node.Demand.DeviceFunction);
                conflicts.Add(Bad(node, $"{node.Name} cannot be function {at.Device:x2}.{at.Function} below {name}: {owner.Name} is there"));
            }
        }
    }

    private static void CheckReserve(FunctionNode node, HotplugReserve? reserve, int addressBits, List<PlacementConflict> conflicts)
    {
        if (reserve is null)
        {
            return;
        }

        if (reserve.Buses is < 0 or > 255)
        {
            conflicts.Add(Bad(node, $"{node.Name} cannot keep {reserve.Buses} bus numbers for hotplug: there are 0 to 255"));
        }

        if (reserve.Io > LargestIo || reserve.Memory > LargestMemory32 || reserve.Prefetchable > 1UL << (addressBits - 1))
        {
            conflicts.Add(Bad(node,
                $"{node.Name} cannot keep so much for hotplug: at most {ByteSize.Format(LargestIo)} of I/O, {ByteSize.Format(LargestMemory32)} of memory and "
                    + $"{ByteSize.Format(1UL << (addressBits - 1))} of prefetchable memory here"));
        }
    }

    private static void CheckBars(FunctionNode node, int addressBits, List<PlacementConflict> conflicts)
    {
        int taken = 0;
        foreach (BarSpec spec in node.Bars)
        {
            BarDemand bar = spec.Demand;
            if (Fault(spec, node.Demand.Bridge is not null, addressBits) is { } fault)
            {
                conflicts.Add(new PlacementConflict(fault.Kind, spec.Party(null), $"{spec.LongName} {fault.Text}"));
                continue;
            }

            int registers = (bar.Kind.Is64Bit() ? 3 : 1) << bar.Index;
            if ((taken & registers) != 0)
            {
                conflicts.Add(new PlacementConflict(
                    PlacementConflictKind.BadDemand, spec.Party(null),
                    $"{spec.LongName} needs a register that another BAR of {node.Name} takes: a 64-bit BAR also takes the next index"));
            }

            taken |= registers;
        }
    }

    private static (PlacementConflictKind Kind, string Text)? Fault(BarSpec spec, bool onBridge, int addressBits)
    {
        BarDemand bar = spec.Demand;
        if (IndexFault(bar, onBridge) is { } text)
        {
            return (PlacementConflictKind.BadDemand, text);
        }

        if (BarIndex.IsVf(bar.Index) && spec.Count == 0)
        {
            return (PlacementConflictKind.BadDemand, "belongs to VFs, and its function has none");
        }

        ulong smallest = bar.Kind switch { BarKind.Io => SmallestIo, BarKind.Rom => SmallestRom, _ => SmallestMemory };
        ulong largest = Largest(bar.Kind, addressBits);
        foreach (ulong size in bar.ResizableSizes.Prepend(bar.Size))
        {
            if (!BitOperations.IsPow2(size))
            {
                return (PlacementConflictKind.NotPowerOfTwo, NearestPowers(size));
            }
        }

        if (bar.ResizableSizes.Count > 0 && !bar.ResizableSizes.Contains(bar.Size))
        {
            string sizes = string.Join(", ", bar.ResizableSizes.Order().Take(MostSizes).Select(ByteSize.Format));
            return (PlacementConflictKind.BadDemand, $"cannot have that size: its capability offers {sizes}");
        }

        // A resizable BAR that may shrink is judged by the smallest that it may shrink to.
        ulong least = bar.LargestThatFits && bar.ResizableSizes.Count > 0 ? bar.ResizableSizes.Min() : bar.Size;
        UInt128 whole = (UInt128)Math.Max(least, spec.Count > 1 ? BarSpec.SystemPage : 0) * (uint)spec.Count;
        if (least >= smallest && whole > largest && bar.Kind.Is64Bit() && whole <= 1UL << (PlatformLimits.MaxAddressBits - 1))
        {
            return (PlacementConflictKind.AboveAddressBits,
                $"does not fit the guest's {addressBits} physical address bits: {ByteSize.Format(largest)} is the most that a BAR can have there"
                + (spec.Count > 1 ? ", all VFs together" : ""));
        }

        return least < smallest || whole > largest
            ? (PlacementConflictKind.BadDemand, $"has no legal size: {bar.Kind.Keyword()} goes from {ByteSize.Format(smallest)} to "
                + $"{ByteSize.Format(largest)} here{(spec.Count > 1 ? ", all VFs together" : "")}")
            : null;
    }

    /// <summary>The most bytes that a BAR of a kind may take.</summary>
    public static ulong Largest(BarKind kind, int addressBits) => kind switch
    {
        BarKind.Io => LargestIo,
        BarKind.Rom => LargestRom,
        BarKind.Memory64 or BarKind.Memory64Prefetchable => 1UL << (addressBits - 1),
        _ => LargestMemory32,
    };

    private static string? IndexFault(BarDemand bar, bool onBridge)
    {
        // A type 1 header has room for two base address registers only, and a bridge has no VFs.
        bool isVf = BarIndex.IsVf(bar.Index);
        int registers = onBridge ? 2 : 6;
        bool isRom = bar.Kind == BarKind.Rom;
        if (isRom != (bar.Index == BarKinds.RomIndex) || bar.Kind > BarKind.Rom)
        {
            return $"is not a BAR: index {BarKinds.RomIndex} is the expansion ROM's, and only its";
        }

        int first = isVf ? BarIndex.Vf0 : 0;
        if (!isRom && (bar.Index < 0 || bar.Index - first + (bar.Kind.Is64Bit() ? 2 : 1) > registers))
        {
            return $"does not fit in the {registers} base address registers of its function";
        }

        return isVf && bar.Kind == BarKind.Io ? "cannot be: VFs have no I/O space" : null;
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
