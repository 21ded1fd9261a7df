using System.Numerics;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Search;

namespace Aperture.Placement.Checks;

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
            Bad("the address width", null,
                $"the guest's physical address width of {platform.PhysicalAddressBits} bits is not one of {PlatformLimits.MinAddressBits} to "
                    + $"{PlatformLimits.MaxAddressBits}");
            return;
        }

        if (platform.LowRamFloor == 0 || platform.LowRamFloor > platform.LowRamCeiling || platform.LowRamCeiling > PlatformLimits.FourGiB
            || (platform.LowRamFloor | platform.LowRamCeiling) % WindowGranule != 0)
        {
            Bad("the low RAM limits", null,
                $"the low RAM limits 0x{platform.LowRamFloor:x} and 0x{platform.LowRamCeiling:x} must be multiples of 1M, in order, and at most 4 GiB");
            return;
        }

        ulong end = Arenas.SpaceEnd(platform);
        if (platform.RamBase.Value > 0 && (platform.RamBase.Value >= end || platform.RamSize > end - platform.RamBase.Value))
        {
            Bad("guest RAM", null,
                $"guest RAM of {ByteSize.Format(platform.RamSize)} from {platform.RamBase} on does not fit in the guest's {platform.PhysicalAddressBits} "
                    + "physical address bits");
            return;
        }

        if (platform.RamSize >= end || (platform.RamBase.Value == 0 && platform.RamSize > platform.LowRamCeiling
            && platform.RamSize - platform.LowRamCeiling > end - PlatformLimits.FourGiB))
        {
            Bad("guest RAM", null,
                $"guest RAM of {ByteSize.Format(platform.RamSize)} does not fit beside the low hole in the guest's {platform.PhysicalAddressBits} physical "
                    + "address bits");
            return;
        }

        if (platform.Mmio32End.Value > PlatformLimits.FourGiB || platform.Mmio32End.Value < platform.LowRamFloor
            || platform.IoWindows.Any(window => window.IsEmpty || window.Start.Value == 0 || window.Last.Value > 0xFFFF))
        {
            Bad("the platform's windows", null,
                "the board's own windows are impossible: the 32-bit window must end between the low RAM floor and 4 GiB, and I/O windows lie in ports 1 to "
                    + "0xffff");
            return;
        }

        CheckEcams(platform, end, Bad);
        CheckWindow32(platform, Bad);
        CheckWindow64(platform, end, Bad);
    }

    private static void CheckEcams(PlatformLimits platform, ulong end, Action<string, AddressRange?, string> bad)
    {
        if (platform.Ecam is not { } first)
        {
            return;
        }

        List<(AddressRange Range, string Name)> pinned = [];
        foreach ((EcamDemand ecam, string name) in platform.SegmentEcams.OrderBy(pair => pair.Key)
            .Select(pair => (pair.Value, $"the ECAM range of segment {pair.Key}")).Prepend((first, "the ECAM range")))
        {
            if (EcamFault(ecam, name, platform, end) is { } fault)
            {
                bad(name, null, fault);
            }
            else if (ecam.Pin is { } pin)
            {
                pinned.Add((new AddressRange(pin, ecam.Size), name));
            }
        }

        (AddressRange Range, string Name)? previous = null;
        foreach ((AddressRange range, string name) in pinned.OrderBy(item => item.Range.Start))
        {
            if (previous is { } other && other.Range.Overlaps(range))
            {
                bad(name, range, $"{name} cannot be at {range}: it overlaps {other.Name} at {other.Range}");
            }

            previous = (range, name);
        }
    }

    private static string? EcamFault(EcamDemand ecam, string name, PlatformLimits platform, ulong end)
    {
        if (!BitOperations.IsPow2(ecam.Size) || ecam.Size < WindowGranule || ecam.Size > 256 * WindowGranule)
        {
            return $"{name} of {ByteSize.Format(ecam.Size)} must be a power of two from 1M to 256M";
        }

        if (ecam.Pin is not { } pin)
        {
            return null;
        }

        ulong lowest = Arenas.LowestHoleStart(platform);
        if (!pin.IsAligned(ecam.Size) || pin.Value >= end || end - pin.Value < ecam.Size || pin.Value < lowest)
        {
            return $"{name} ({ByteSize.Format(ecam.Size)}) cannot be at {pin}: it must be a multiple of its size, from 0x{lowest:x} to the end of "
                + $"{platform.PhysicalAddressBits} physical address bits";
        }

        AddressRange range = new(pin, ecam.Size);
        return platform.Reserved.FirstOrDefault(reserved => reserved.Range.Overlaps(range)) is { } taken
            ? $"{name} cannot be at {range}: it overlaps {taken.Origin} at {taken.Range}"
            : null;
    }

    private static void CheckWindow32(PlatformLimits platform, Action<string, AddressRange?, string> bad)
    {
        ulong lowest = Arenas.LowestHoleStart(platform);
        if (platform.Mmio32Window is { } window
            && (window.IsEmpty || window.Last.Value >= PlatformLimits.FourGiB || window.Start.Value < lowest))
        {
            bad("the 32-bit memory window", window,
                platform.RamBase.Value > 0
                    ? $"the 32-bit memory window {window} cannot be there: it must lie between 0x{lowest:x}, below which the board has its devices, and 4 GiB"
                    : $"the 32-bit memory window {window} cannot be there: it must lie between guest RAM, which ends at 0x{lowest:x} at the lowest, and 4 GiB");
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
            bad("the 64-bit memory window", window,
                $"the 64-bit memory window {window} cannot be there: it must start at 4 GiB or above, so the lowest place is 0x100000000");
        }
        else if (window.Last.Value >= end)
        {
            bad("the 64-bit memory window", window,
                $"the 64-bit memory window {window} passes the guest's {platform.PhysicalAddressBits} physical address bits, which end at 0x{end - 1:x}");
        }
    }
}
