using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>
/// Keeps the ECAM window in guest memory at what PCIEXBAR says. Firmware sets that register to an address of its own without looking what is there: a window that
/// would cover pinned BARs ends below the first of them, as if the board had fewer buses, if that leaves it the buses that firmware numbers.
/// </summary>
internal sealed class EcamWindow(PciHierarchy hierarchy, IEventSink events)
{
    private const int BusShift = 20;

    // Room for the bus numbers that ports reserve.
    private const int FewestBuses = 16;

    private Region? _region;
    private PciExBar _applied;
    private AddressRange? _current;

    /// <summary>The window that decodes, or null.</summary>
    public AddressRange? Current => _current;

    /// <summary>Follows <paramref name="wanted"/>.</summary>
    public void Update(AddressChange change, PciExBar wanted)
    {
        if (wanted == _applied || (!wanted.Enabled && !_applied.Enabled))
        {
            return;
        }

        if (_region is not null)
        {
            change.Remove(_region);
            _region = null;
        }

        // Of a window that is gone the log says where it was.
        AddressRange? before = _current;
        _applied = wanted;
        _current = wanted.Enabled ? BelowPins(wanted.Range) : null;
        if (_current is { } range)
        {
            _region = Region.Trapped("ecam", range.Size, new EcamMechanism(hierarchy));
            change.TryPlace(_region, range.Start, RegionPriority.Ecam);
        }

        events.Write(wanted.Enabled ? "ecam.enabled" : "ecam.disabled", json => json.WriteRange((_current ?? before)!.Value));
    }

    private AddressRange BelowPins(AddressRange window)
    {
        ulong first = ulong.MaxValue;
        int buses = 1;
        foreach (PciFunction function in hierarchy.Functions)
        {
            foreach (AddressRange kept in Kept(function))
            {
                first = kept.Overlaps(window) ? Math.Min(first, kept.Start.Value) : first;
            }

            buses += function is PciBridge ? 1 : 0;
        }

        ulong left = first > window.Start.Value && first != ulong.MaxValue ? (first - window.Start.Value) >> BusShift : 0;
        return left >= (ulong)Math.Max(buses, FewestBuses) ? new AddressRange(window.Start, left << BusShift) : window;
    }

    // The memory that firmware and guest cannot move away: pinned BARs, and the windows of bridges that stay open for them.
    private static IEnumerable<AddressRange> Kept(PciFunction function)
    {
        foreach (Bar bar in function.Bars)
        {
            if (bar.Kind.IsMemory() && bar.Pin is { } pin && bar.PinPolicy != BarPinPolicy.Follow)
            {
                yield return new AddressRange(pin, bar.Size);
            }
        }

        if (function is PciBridge bridge)
        {
            if (bridge.LockedWindow(BridgeWindow.Memory) is { } memory)
            {
                yield return memory;
            }

            if (bridge.LockedWindow(BridgeWindow.Prefetchable) is { } prefetchable)
            {
                yield return prefetchable;
            }
        }
    }
}
