using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Ports;

namespace Aperture.Board;

/// <summary>
/// Keeps the ECAM window in guest memory where the chipset's register says. Firmware sets that register to an address of its own without looking what is
/// there: a window that would cover pinned BARs ends below the first of them, as if the board had fewer buses, if that leaves it the buses that firmware
/// numbers.
/// </summary>
/// <param name="hierarchy">What the window shows.</param>
/// <param name="wanted">The window that the register says; null while it is off.</param>
/// <param name="events">Told when it comes, moves and goes.</param>
internal sealed class EcamWindow(PciHierarchy hierarchy, Func<AddressRange?> wanted, IEventSink events) : IMapPart
{
    private const int BusShift = 20;

    // Room for the bus numbers that ports reserve.
    private const int FewestBuses = 16;

    private Region? _region;
    private AddressRange? _applied;

    /// <summary>The window that decodes, or null.</summary>
    public AddressRange? Current { get; private set; }

    /// <inheritdoc/>
    public void Update(MapChange change)
    {
        AddressRange? next = wanted();
        if (next == _applied)
        {
            return;
        }

        if (_region is not null)
        {
            change.Memory.Remove(_region);
            _region = null;
        }

        // Of a window that is gone the log says where it was.
        AddressRange? before = Current;
        _applied = next;
        Current = next is { } window ? BelowPins(window) : null;
        if (Current is { } range)
        {
            _region = Region.Trapped("ecam", range.Size, new EcamMechanism(hierarchy));
            change.Memory.TryPlace(_region, range.Start, RegionPriority.Ecam);
        }

        events.Write(next is null ? "ecam.disabled" : "ecam.enabled", json => json.WriteRange((Current ?? before)!.Value));
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
            if (bar.Kind.IsMemory() && bar.HeldPin is { } pin)
            {
                yield return new AddressRange(pin, bar.FullSize);
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
