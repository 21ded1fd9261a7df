using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Emission;

/// <summary>What several monitors lack in the same way.</summary>
internal static class SharedGaps
{
    /// <summary>The pinned BARs for which <paramref name="can"/> says no, one sentence each.</summary>
    public static void Pins(ConfigText text, PlannedTree tree, Func<PlannedFunction, BarPlacement, bool>? can = null)
    {
        foreach (PlannedFunction planned in tree.All)
        {
            foreach (BarPlacement bar in planned.Function.Bars)
            {
                if (bar.Why.Kind == PlacementReasonKind.Pinned && can?.Invoke(planned, bar) != true)
                {
                    text.Gap($"{planned.Title}: {PlannedFunction.Describe(bar)} is pinned at {bar.Address}; there is no option for that.");
                }
            }

            if (planned.Function.Demand.Bridge is { } bridge)
            {
                WindowPin(text, planned, "I/O", bridge.IoWindow);
                WindowPin(text, planned, "memory", bridge.MemoryWindow);
                WindowPin(text, planned, "prefetchable", bridge.PrefetchableWindow);
            }
        }

        text.Gap("BARs that are not pinned: their addresses are chosen by the monitor or its firmware and need not be the plan's.");
    }

    /// <summary>SR-IOV, resizable BARs and ROMs come with the device.</summary>
    public static void Capabilities(ConfigText text, PlannedTree tree)
    {
        foreach (PlannedFunction planned in tree.All)
        {
            if (planned.Function.Demand.Sriov is { TotalVfs: > 0 } sriov)
            {
                text.Gap($"{planned.Title}: room for {sriov.TotalVfs} virtual functions; a guest sees an SR-IOV capability only if the device model has one.");
            }

            foreach (BarPlacement bar in planned.Function.Bars.Where(bar => bar.Demand.ResizableSizes.Count > 0))
            {
                text.Gap($"{planned.Title}: {BarIndex.Name(bar.Demand.Index)} is resizable and planned at {ByteSize.Format(bar.Size)}; set that size on the "
                    + $"host before the guest starts.");
            }
        }
    }

    /// <summary>Ranges that the plan keeps free for the host's sake.</summary>
    public static void Reserved(ConfigText text, PlacementRequest request, Func<ReservedRange, bool>? can = null)
    {
        foreach (ReservedRange range in request.Platform.Reserved.Where(
            r => r.Kind is not (ReservedKind.Board or ReservedKind.Firmware) && can?.Invoke(r) != true))
        {
            text.Gap($"{range.Range} is kept free for {range.Origin}; nothing keeps BARs out of it.");
        }
    }

    /// <summary>A 64-bit window that OVMF cannot be asked for.</summary>
    public static void Ovmf(ConfigText text, PlacementMap map)
    {
        if (QemuLimits.IsPastOvmf(map))
        {
            text.Gap($"a 64-bit window of {ByteSize.Format(QemuLimits.Hole64(map))}: {QemuLimits.OvmfApertureName} goes to 16T; "
                + "OVMF from 2023 on takes an eighth of the address space by itself.");
        }
    }

    /// <summary>RAM in other pieces than one below the low hole and one from 4 GiB.</summary>
    public static void RamPieces(ConfigText text, PlacementMap map)
    {
        if (map.Ram.LowPieces.Count > 1 || map.Ram.HighPieces.Count > 1)
        {
            text.Gap($"RAM in {map.Ram.Pieces.Count()} pieces ({string.Join(", ", map.Ram.Pieces)}); it is one piece below the low hole and one from 4 GiB.");
        }
    }

    private static void WindowPin(ConfigText text, PlannedFunction planned, string name, AddressRange? window)
    {
        if (window is { } range)
        {
            text.Gap($"{planned.Title}: the {name} window is pinned at {range}; there is no option for that.");
        }
    }
}
