using Aperture.Firmware.Platform;
using Aperture.Kvm;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using ReservedRange = Aperture.Placement.Request.ReservedRange;

namespace Aperture.Machine.Board;

/// <summary>What the host bridge lets a BAR decode, and what wins over BARs.</summary>
internal static class BoardLimits
{
    /// <summary>The identity map page and the three pages of the task state segment: a memory slot there would be refused (KVM API 4.36, 4.37).</summary>
    public static ReservedRange KvmPages { get; } =
        new(new AddressRange(new KvmVmOptions().ReservedPages, 0x4000), "the pages that KVM keeps for itself");

    /// <summary>What nothing may be placed on, RAM and ECAM aside.</summary>
    public static IReadOnlyList<ReservedRange> Reserved { get; } = [.. PlatformLimits.Q35Reserved, KvmPages];

    /// <summary>
    /// The limits with ECAM at <paramref name="ecam"/>. Under direct boot the windows are those that _CRS tells the guest; firmware, which writes _CRS
    /// later, may use everything between RAM and the end of the address space.
    /// </summary>
    public static DecodeLimits For(BoardParts parts, IReadOnlyList<AddressRange> ram, AddressRange? ecam)
    {
        List<DecodeObstacle> reserved = [.. Reserved.Select(r => new DecodeObstacle(r.Range, r.Origin))];
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
