using Aperture.Configuration.Kinds;
using Aperture.Host.Model;
using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Request;

namespace Aperture.Machine.Topology;

/// <summary>Says which BARs cannot grow on the host as it is: the bridge above forwards a window, and the resized BAR has to be in it.</summary>
internal static class ResizeNotes
{
    /// <summary>A sentence for each resize that the host's bridge window has no room for.</summary>
    public static IEnumerable<string> For(HostMachine host, IEnumerable<AssignedPart> parts)
    {
        foreach (AssignedPart part in parts)
        {
            foreach ((int index, ulong size) in part.Spec.Resizes)
            {
                if (part.Host is { } function && function.Bars.FirstOrDefault(bar => bar.Index == index) is { } bar && bar.Size < size
                    && function.Parent is { } above && host.Find(above) is { Bridge: { } bridge }
                    && !IsHeld(host, function, part.Spec, bar, WindowOf(bridge, bar)))
                {
                    string window = WindowOf(bridge, bar) is { } range ? $"{range} for it, {ByteSize.Format(range.Size)}" : "nothing for it";
                    yield return $"{part.Name} {BarIndex.Name(index)} of {ByteSize.Format(size)} has no room on the host, where {above} forwards {window}; "
                        + "the kernel resizes it only if it can enlarge that window: nothing else may be in it, and the bridges above need the room";
                }
            }
        }
    }

    private static AddressRange? WindowOf(HostPciBridge bridge, HostBar bar) =>
        bar.Address is { } at
            ? new[] { bridge.Prefetchable, bridge.Memory }.FirstOrDefault(window => window is { } range && range.Contains(at))
            : bar.Kind.IsPrefetchable() ? bridge.Prefetchable ?? bridge.Memory : bridge.Memory;

    // The kernel takes all the device's BARs out of the window and puts them back, the largest first; what is others' stays where it is.
    private static bool IsHeld(HostMachine host, HostFunction owner, AssignedSpec spec, HostBar resized, AddressRange? window)
    {
        if (window is not { } room)
        {
            return false;
        }

        FreeRanges free = new([room], host.Functions.Where(function => function.Address != owner.Address && function.Bridge is null)
            .SelectMany(function => function.AllBars).Select(bar => bar.Range).OfType<AddressRange>());
        IEnumerable<ulong> sizes = owner.Bars.Where(bar => bar.Index == resized.Index || (bar.Address is { } at && room.Contains(at)))
            .Select(bar => spec.Resizes.FirstOrDefault(r => r.Key == bar.Index) is { Value: > 0 } wanted ? wanted.Value : bar.Size);
        return sizes.OrderDescending().All(free.TryTakeLowest);
    }
}
