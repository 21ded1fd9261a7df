using Aperture.Firmware;
using Aperture.Pci;
using Aperture.Placement;
using ReservedRange = Aperture.Pci.ReservedRange;

namespace Aperture.Machine.Board;

/// <summary>What the host bridge lets a BAR decode, and what wins over BARs.</summary>
internal static class BoardLimits
{
    /// <summary>
    /// The limits with ECAM at <paramref name="ecam"/>. Under direct boot the windows are those that _CRS tells the guest; firmware, which writes _CRS
    /// later, may use everything between RAM and the end of the address space.
    /// </summary>
    public static DecodeLimits For(BoardParts parts, AddressRange? ecam)
    {
        List<ReservedRange> reserved = [.. PlatformLimits.Q35Reserved.Select(r => new ReservedRange(r.Range, r.Origin))];
        reserved.Add(new ReservedRange(parts.Ram.LowRange, "guest RAM"));
        if (!parts.Ram.HighRange.IsEmpty)
        {
            reserved.Add(new ReservedRange(parts.Ram.HighRange, "guest RAM"));
        }

        if (ecam is { } window)
        {
            reserved.Add(new ReservedRange(window, "the ECAM window"));
        }

        return new DecodeLimits(parts.Firmware is null ? Told(parts.Map) : Everything(parts), HostBridgeWindows.StandardIo, reserved);
    }

    private static IEnumerable<AddressRange> Told(PlacementMap map) => map.HostBridges.SelectMany(b => b.Mmio32Windows.Concat(b.Mmio64Windows));

    private static IEnumerable<AddressRange> Everything(BoardParts parts)
    {
        GuestAddress end = new((1UL << parts.PhysicalAddressBits) - 1);
        return [AddressRange.FromBounds(new GuestAddress(parts.Ram.Low.Size), end)];
    }
}
