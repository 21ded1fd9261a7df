using Aperture.Firmware.Platform;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Board;

/// <summary>What the host bridge lets a BAR decode, and what wins over BARs.</summary>
internal static class BoardLimits
{
    /// <summary>
    /// The limits with ECAM at <paramref name="ecam"/>. Under direct boot the windows are those that _CRS tells the guest; firmware, which writes _CRS
    /// later, may use everything between RAM and the end of the address space.
    /// </summary>
    public static DecodeLimits For(BoardParts parts, IReadOnlyList<AddressRange> ram, AddressRange? ecam)
    {
        List<DecodeObstacle> reserved = [.. PlatformLimits.Q35Reserved.Concat(parts.Reserved).Select(r => new DecodeObstacle(r.Range, r.Origin))];
        reserved.AddRange(ram.Select(r => new DecodeObstacle(r, "guest RAM")));
        if (ecam is { } window)
        {
            reserved.Add(new DecodeObstacle(window, "the ECAM window"));
        }

        return new DecodeLimits(parts.Firmware is null ? Told(parts.Map) : Everything(parts, ram), HostBridgeWindows.StandardIo, reserved);
    }

    private static IEnumerable<AddressRange> Told(PlacementMap map) => map.HostBridges.SelectMany(b => b.Mmio32Windows.Concat(b.Mmio64Windows));

    private static IEnumerable<AddressRange> Everything(BoardParts parts, IReadOnlyList<AddressRange> ram)
    {
        GuestAddress end = new((1UL << parts.PhysicalAddressBits) - 1);
        return [AddressRange.FromBounds(ram.Last(r => r.Start.Value < PlatformLimits.FourGiB).Last + 1, end)];
    }
}
