using Aperture.Firmware.Platform;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>
/// What a PC's host bridge lets a BAR decode, and what wins over BARs. Under direct boot the windows are those that _CRS tells the guest; firmware, which
/// writes _CRS later, may use everything between RAM and the end of the address space.
/// </summary>
internal sealed class PcLimits(PcParts parts, PlacementMap map)
{
    private readonly DecodeObstacle[] _reserved = [.. PlatformLimits.Q35Reserved.Concat(parts.Reserved).Select(r => new DecodeObstacle(r.Range, r.Origin))];
    private (IReadOnlyList<AddressRange> Ram, AddressRange? Ecam, DecodeLimits Limits)? _known;

    /// <summary>
    /// The limits with RAM at <paramref name="ram"/>, by rising address, and ECAM at <paramref name="ecam"/>. The same object while neither changes.
    /// </summary>
    public DecodeLimits With(IReadOnlyList<AddressRange> ram, AddressRange? ecam)
    {
        if (_known is { } known && known.Ram == ram && known.Ecam == ecam)
        {
            return known.Limits;
        }

        List<DecodeObstacle> obstacles = [.. _reserved, .. ram.Select(r => new DecodeObstacle(r, "guest RAM"))];
        if (ecam is { } window)
        {
            obstacles.Add(new DecodeObstacle(window, "the ECAM window"));
        }

        DecodeLimits limits = new(parts.Firmware is null ? Told() : Everything(ram), HostBridgeWindows.StandardIo, obstacles);
        _known = (ram, ecam, limits);
        return limits;
    }

    private IEnumerable<AddressRange> Told() => map.HostBridges.SelectMany(b => b.Mmio32Windows.Concat(b.Mmio64Windows));

    private IEnumerable<AddressRange> Everything(IReadOnlyList<AddressRange> ram)
    {
        GuestAddress end = new((1UL << parts.PhysicalAddressBits) - 1);
        return [AddressRange.FromBounds(ram.Last(r => r.Start.Value < PlatformLimits.FourGiB).Last + 1, end)];
    }
}
