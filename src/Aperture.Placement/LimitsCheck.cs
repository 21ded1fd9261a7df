using System.Numerics;

namespace Aperture.Placement;

/// <summary>Contradictions among the platform's own limits; everything after relies on their absence.</summary>
internal static class LimitsCheck
{
    private const ulong WindowGranule = 1UL << 20;

    public static void Run(PlatformLimits platform, List<PlacementConflict> conflicts)
    {
        void Bad(string party, AddressRange? range, string sentence) =>
            conflicts.Add(new PlacementConflict(PlacementConflictKind.BadLimit, new ConflictParty(party, range), sentence));

        if (platform.PhysicalAddressBits is < PlatformLimits.MinAddressBits or > PlatformLimits.MaxAddressBits)
        {
            Bad("the address width", null, $"the guest's physical address width of {platform.PhysicalAddressBits} bits is not one of {PlatformLimits.MinAddressBits} to {PlatformLimits.MaxAddressBits}");
            return;
        }

        if (platform.LowRamFloor == 0 || platform.LowRamFloor > platform.LowRamCeiling || platform.LowRamCeiling > PlatformLimits.FourGiB
            || (platform.LowRamFloor | platform.LowRamCeiling) % WindowGranule != 0)
        {
            Bad("the low RAM limits", null, $"the low RAM limits 0x{platform.LowRamFloor:x} and 0x{platform.LowRamCeiling:x} must be multiples of 1M, in order, and at most 4 GiB");
            return;
        }

        ulong end = Arenas.SpaceEnd(platform);
        if (platform.RamSize >= end || (platform.RamSize > platform.LowRamCeiling && platform.RamSize - platform.LowRamCeiling > end - PlatformLimits.FourGiB))
        {
            Bad("guest RAM", null, $"guest RAM of {ByteSize.Format(platform.RamSize)} does not fit beside the low hole in the guest's {platform.PhysicalAddressBits} physical address bits");
            return;
        }

        CheckEcam(platform, end, Bad);
        CheckWindow32(platform, Bad);
        CheckWindow64(platform, end, Bad);
        if (platform.Mmio32End.Value > PlatformLimits.FourGiB || platform.IoWindows.Any(window => window.IsEmpty || window.Start.Value == 0 || window.Last.Value > 0xFFFF))
        {
            Bad("the platform's windows", null, "the board's own windows are impossible: the 32-bit window must end at or below 4 GiB, and I/O windows lie in ports 1 to 0xffff");
        }
    }

    private static void CheckEcam(PlatformLimits platform, ulong end, Action<string, AddressRange?, string> bad)
    {
        if (platform.Ecam is not { } ecam)
        {
            return;
        }

        if (!BitOperations.IsPow2(ecam.Size) || ecam.Size < WindowGranule || ecam.Size > 256 * WindowGranule)
        {
            bad("the ECAM range", null, $"the ECAM range of {ByteSize.Format(ecam.Size)} must be a power of two from 1M to 256M");
            return;
        }

        if (ecam.Pin is not { } pin)
        {
            return;
        }

        ulong lowest = Arenas.LowestHoleStart(platform);
        if (!pin.IsAligned(ecam.Size) || pin.Value >= end || end - pin.Value < ecam.Size || pin.Value < lowest)
        {
            bad("the ECAM range", null, $"the ECAM range ({ByteSize.Format(ecam.Size)}) cannot be at {pin}: it must be a multiple of its size, from 0x{lowest:x} to the end of {platform.PhysicalAddressBits} physical address bits");
            return;
        }

        AddressRange range = new(pin, ecam.Size);
        if (platform.Reserved.FirstOrDefault(reserved => reserved.Range.Overlaps(range)) is { } taken)
        {
            bad("the ECAM range", range, $"the ECAM range cannot be at {range}: it overlaps {taken.Origin} at {taken.Range}");
        }
    }

    private static void CheckWindow32(PlatformLimits platform, Action<string, AddressRange?, string> bad)
    {
        ulong lowest = Arenas.LowestHoleStart(platform);
        if (platform.Mmio32Window is { } window
            && (window.IsEmpty || window.Last.Value >= PlatformLimits.FourGiB || window.Start.Value < lowest))
        {
            bad("the 32-bit memory window", window, $"the 32-bit memory window {window} cannot be there: it must lie between guest RAM, which ends at 0x{lowest:x} at the lowest, and 4 GiB");
        }
    }

    private static void CheckWindow64(PlatformLimits platform, ulong end, Action<string, AddressRange?, string> bad)
    {
        if (platform.Mmio64Window is not { } window)
        {
            return;
        }

        if (window.IsEmpty || window.Start.Value < PlatformLimits.FourGiB)
        {
            bad("the 64-bit memory window", window, $"the 64-bit memory window {window} cannot be there: it must start at 4 GiB or above, so the lowest place is 0x100000000");
        }
        else if (window.Last.Value >= end)
        {
            bad("the 64-bit memory window", window, $"the 64-bit memory window {window} passes the guest's {platform.PhysicalAddressBits} physical address bits, which end at 0x{end - 1:x}");
        }
    }
}
