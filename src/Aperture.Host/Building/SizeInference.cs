using System.Numerics;
using Aperture.Host.Model;
using Aperture.Pci;

namespace Aperture.Host.Building;

/// <summary>
/// Bounds the sizes that a hex dump leaves out. A BAR is a power of two aligned to itself (PCI Local Bus 3.0, section 6.2.5.1), it ends before whatever
/// starts next in its domain, and it ends inside the windows above it: the largest size that keeps all three is the bound. A resizable BAR's
/// capability has the size itself.
/// </summary>
internal sealed class SizeInference
{
    /// <summary>I/O BARs take no more than 256 bytes (PCI Local Bus 3.0, section 6.2.5.1).</summary>
    private const ulong LargestIo = 256;

    private readonly Dictionary<(uint Domain, bool IsIo), List<ulong>> _starts = [];
    private readonly Dictionary<PciAddress, HostFunction> _functions;

    internal SizeInference(IEnumerable<HostFunction> all)
    {
        _functions = all.ToDictionary(static function => function.Address);
        foreach (HostFunction function in _functions.Values)
        {
            foreach (HostBar bar in function.AllBars)
            {
                Add(function, bar.Kind == BarKind.Io, bar.Address?.Value);
            }

            foreach (HostVfBar bar in function.Sriov?.VfBars ?? [])
            {
                Add(function, bar.Kind == BarKind.Io, bar.Address?.Value);
            }

            Add(function, true, function.Bridge?.Io?.Start.Value);
            Add(function, false, function.Bridge?.Memory?.Start.Value);
            Add(function, false, function.Bridge?.Prefetchable?.Start.Value);
        }

        foreach (List<ulong> list in _starts.Values)
        {
            list.Sort();
        }
    }

    /// <summary>The function with a size for every BAR that can have one, those of its VFs included.</summary>
    internal HostFunction Apply(HostFunction function)
    {
        if (function.AllBars.Any(static bar => bar.Origin == SizeOrigin.Unknown))
        {
            function = function with
            {
                Bars = [.. function.Bars.Select(bar => Bound(function, bar))],
                Rom = function.Rom is null ? null : Bound(function, function.Rom),
            };
        }

        return function.Sriov is { TotalVfs: > 0 } sriov && sriov.VfBars.Any(static bar => bar.Origin == SizeOrigin.Unknown)
            ? function with { Sriov = sriov with { VfBars = [.. sriov.VfBars.Select(bar => Bound(function, bar, sriov.TotalVfs))] } }
            : function;
    }

    /// <summary>A VF BAR is one for each VF, one after the other (PCI Express 5.0, section 9.3.3.14), so the room is shared.</summary>
    private HostVfBar Bound(HostFunction function, HostVfBar bar, int vfs)
    {
        if (bar.Origin != SizeOrigin.Unknown || bar.Address is not { } address)
        {
            return bar;
        }

        ulong room = Room(function, bar.Kind, address, ulong.MaxValue) / (ulong)vfs;
        room = Math.Min(Math.Min(room, address.Value & (0 - address.Value)), BarRules.LargestSize(bar.Kind));
        ulong size = room == 0 ? 0 : 1UL << BitOperations.Log2(room);
        return size < BarRules.SmallestSize(bar.Kind) ? bar : bar with { Size = size, Origin = SizeOrigin.Inferred };
    }

    private HostBar Bound(HostFunction function, HostBar bar)
    {
        if (bar.Origin != SizeOrigin.Unknown)
        {
            return bar;
        }

        HostResizableBar? resizable = function.ResizableBars.FirstOrDefault(entry => entry.BarIndex == bar.Index && bar.Kind != BarKind.Rom);
        if (resizable is not null)
        {
            return bar with { Size = resizable.CurrentSize, Origin = SizeOrigin.Known };
        }

        if (bar.Address is not { } address)
        {
            return bar;
        }

        // From the address up: the largest BAR of the kind, its alignment, the next start, the end of the window.
        ulong room = bar.Kind == BarKind.Io ? LargestIo : BarRules.LargestSize(bar.Kind);
        room = Room(function, bar.Kind, address, Math.Min(room, address.Value & (0 - address.Value)));
        ulong size = 1UL << BitOperations.Log2(room);
        return size < BarRules.SmallestSize(bar.Kind) ? bar : bar with { Size = size, Origin = SizeOrigin.Inferred };
    }

    /// <summary>Bytes from <paramref name="address"/> to the next start or the end of the window, at most <paramref name="most"/>.</summary>
    private ulong Room(HostFunction function, BarKind kind, GuestAddress address, ulong most)
    {
        List<ulong> list = _starts[(function.Address.Domain, kind == BarKind.Io)];
        int next = UpperBound(list, address.Value);
        ulong room = next < list.Count ? Math.Min(most, list[next] - address.Value) : most;
        return WindowAround(function, kind, address) is { } window ? Math.Min(room, window.Last - address + 1) : room;
    }

    private AddressRange? WindowAround(HostFunction function, BarKind kind, GuestAddress address)
    {
        if (function.Parent is not { } parent || _functions.GetValueOrDefault(parent)?.Bridge is not { } bridge)
        {
            return null;
        }

        AddressRange?[] windows = kind == BarKind.Io ? [bridge.Io] : [bridge.Memory, bridge.Prefetchable];
        return Array.Find(windows, window => window?.Contains(address) == true);
    }

    private void Add(HostFunction function, bool isIo, ulong? start)
    {
        if (start is null)
        {
            return;
        }

        (uint, bool) key = (function.Address.Domain, isIo);
        if (!_starts.TryGetValue(key, out List<ulong>? list))
        {
            _starts.Add(key, list = []);
        }

        list.Add(start.Value);
    }

    private static int UpperBound(List<ulong> list, ulong value)
    {
        int low = 0;
        int high = list.Count;
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (list[middle] <= value)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
