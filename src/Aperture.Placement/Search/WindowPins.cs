using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Placement.Search;

/// <summary>What is wrong with pinned bridge windows on their own (PCI-to-PCI Bridge 1.2, 3.2.5.6 to 3.2.5.10), and where the lowest one is.</summary>
internal static class WindowPins
{
    public static void Check(Topology topology, PlatformLimits platform, List<PlacementConflict> conflicts)
    {
        foreach (FunctionNode node in topology.All)
        {
            foreach ((WindowKind kind, AddressRange range) in Of(node))
            {
                if (Fault(kind, range, platform) is { } fault)
                {
                    string name = WindowBlock.NameOf(node.Name, kind);
                    conflicts.Add(new PlacementConflict(
                        PlacementConflictKind.BridgeWindow,
                        new ConflictParty(name, range) { Function = node.Name },
                        $"{name} cannot be pinned at {range}: {fault}"));
                }
            }
        }
    }

    /// <summary>The lowest pinned memory window from <paramref name="floor"/> up.</summary>
    public static ulong Lowest(Topology topology, ulong floor)
    {
        ulong lowest = ulong.MaxValue;
        foreach (FunctionNode node in topology.All)
        {
            foreach ((WindowKind kind, AddressRange range) in Of(node))
            {
                lowest = kind != WindowKind.Io && range.Start.Value >= floor ? Math.Min(lowest, range.Start.Value) : lowest;
            }
        }

        return lowest;
    }

    private static IEnumerable<(WindowKind Kind, AddressRange Range)> Of(FunctionNode node)
    {
        if (node.Demand.Bridge is not { } bridge)
        {
            yield break;
        }

        if (bridge.IoWindow is { } io)
        {
            yield return (WindowKind.Io, io);
        }

        if (bridge.MemoryWindow is { } memory)
        {
            yield return (WindowKind.Memory, memory);
        }

        if (bridge.PrefetchableWindow is { } prefetchable)
        {
            yield return (WindowKind.Prefetchable, prefetchable);
        }
    }

    private static string? Fault(WindowKind kind, AddressRange range, PlatformLimits platform)
    {
        ulong granule = WindowBlock.GranuleOf(kind);
        if (range.IsEmpty)
        {
            return "it is empty";
        }

        if (!range.Start.IsAligned(granule) || range.Size % granule != 0)
        {
            return $"a bridge forwards it in units of {ByteSize.Format(granule)}";
        }

        ulong last = range.Last.Value;
        return kind switch
        {
            WindowKind.Io => last > 0xFFFF ? "there are only 0x10000 I/O ports" : null,
            _ when last >= Arenas.SpaceEnd(platform) => $"it passes the guest's {platform.PhysicalAddressBits} physical address bits",
            WindowKind.Memory => last >= PlatformLimits.FourGiB ? "a memory window ends below 4 GiB" : null,
            _ => range.Start.Value < PlatformLimits.FourGiB && last >= PlatformLimits.FourGiB
                ? "a prefetchable window lies wholly below or wholly above 4 GiB" : null,
        };
    }
}
