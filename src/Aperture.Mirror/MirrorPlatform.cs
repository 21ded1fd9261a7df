using Aperture.Host.Model;
using Aperture.Placement.Platforms;

namespace Aperture.Mirror;

/// <summary>
/// Makes room on the guest's platform for what has its host address: RAM may go low, ECAM and the flash step aside, the host's reserved regions are kept.
/// </summary>
internal sealed class MirrorPlatform(HostMachine host, MirrorUse use, MirrorNotes notes)
{
    // A processor starts with RAM behind its first MiB; everything else of a guest's RAM can be elsewhere.
    private const ulong LeastLowRam = 1UL << 20;
    private const ulong FourGiB = PlatformLimits.FourGiB;
    private const ulong PortGranule = 4;
    private const ushort Amd = 0x1022;

    // AMD's joint venture, whose processors have the same address map.
    private const ushort Hygon = 0x1D94;

    // Those who made host bridges for x86: Intel, AMD, VIA, SiS, NVIDIA, ServerWorks, ATI, Hygon, Zhaoxin.
    private static readonly ushort[] X86Vendors = [0x8086, Amd, 0x1106, 0x1039, 0x10DE, 0x1166, 0x1002, Hygon, 0x1D17];

    // Ports of the board that are no BARs: what every PC has below 0x100, its serial ports, the interrupt edges, fw_cfg, power management, CF8.
    private static readonly ReservedRange[] BoardPorts =
    [
        Ports(0x000, 0x100, "the board's own ports"),
        Ports(0x2F8, 8, "a serial port"),
        Ports(0x3F8, 8, "a serial port"),
        Ports(0x4D0, 2, "the interrupt controllers"),
        Ports(0x510, 12, "fw_cfg"),
        Ports(0x600, 0x80, "the power management block"),
        Ports(0xCF8, 8, "the configuration ports"),
    ];

    /// <summary>The platform for <paramref name="functions"/> with their BARs at <paramref name="pins"/>.</summary>
    public PlatformLimits Make(PlatformLimits guest, IReadOnlyList<HostFunction> functions, IReadOnlyList<BarPin> pins)
    {
        List<BarPin> memory = [.. pins.Where(pin => !pin.IsIo)];
        List<BarPin> ports = [.. pins.Where(pin => pin.IsIo)];
        List<AddressRange> low = [
            .. ports.Where(pin => pin.Start < 0x1000 && pin.Start > 0).Select(pin => new AddressRange(pin.Demand.Pin!.Value, Math.Max(pin.Size, PortGranule)))];
        List<ReservedRange> reserved = [.. BoardRanges(guest, memory).SelectMany(range => Yield(range, memory))];
        reserved.AddRange(HostReserved(functions, memory).Where(range => !reserved.Exists(known => known.Range == range.Range)).ToList());
        return guest with
        {
            LowRamFloor = LeastLowRam,
            IoWindows = [.. guest.IoWindows, .. low],
            ReservedIo = low.Count == 0 ? guest.ReservedIo : [.. guest.ReservedIo, .. BoardPorts],
            Reserved = reserved,
            Ecam = Ecam(guest.Ecam, functions, memory, reserved),
        };
    }

    /// <summary>True when a host bridge or an ISA bridge says that the host is a PC.</summary>
    internal static bool IsX86(HostMachine host) =>
        host.Functions.Any(function => Selected.IsPlatform(function) && Array.IndexOf(X86Vendors, function.Identity.Vendor) >= 0)
        || host.IommuGroups.Any(group => group.ReservedRegions.Any(region => region.Type == "msi" && region.Range.Start == PlatformLimits.MessageWindow.Start));

    /// <summary>
    /// What the guest's board keeps; nothing of a PC's on a host that is no PC and has BARs where a PC has its interrupt controllers and firmware.
    /// </summary>
    private IEnumerable<ReservedRange> BoardRanges(PlatformLimits guest, List<BarPin> memory)
    {
        List<BarPin> inside = [.. memory.Where(pin => pin.Start < FourGiB && pin.End > guest.Mmio32End.Value).OrderBy(pin => pin.Start)];
        if (inside.Count == 0 || IsX86(host) || guest.RamBase.Value > 0)
        {
            return guest.Reserved;
        }

        inside.ForEach(pin =>
            notes.Add("Nothing is kept free for a PC's interrupt controllers and firmware, because the host is no PC and has BARs there", pin.Name));
        return guest.Reserved.Where(range => range.Kind is not (ReservedKind.Board or ReservedKind.Firmware));
    }

    /// <summary>The flash is as large as the guest likes, so it makes room for BARs.</summary>
    private IEnumerable<ReservedRange> Yield(ReservedRange range, List<BarPin> memory)
    {
        bool mayYield = range.Kind is ReservedKind.Board or ReservedKind.Firmware && range.Range.Last.Value == FourGiB - 1;
        List<BarPin> over = mayYield
            ? [.. memory.Where(pin => pin.Start <= range.Range.Last.Value && pin.End > range.Range.Start.Value).OrderBy(pin => pin.Start)] : [];
        ulong start = range.Range.Start.Value;
        foreach (BarPin pin in over)
        {
            if (pin.Start > start)
            {
                yield return range with { Range = AddressRange.FromBounds(new GuestAddress(start), new GuestAddress(pin.Start - 1)) };
            }

            notes.Add($"Lies where {range.Origin} usually is, which a guest with this map must do without there", pin.Name);
            start = Math.Max(start, pin.End);
        }

        if (start <= range.Range.Last.Value)
        {
            yield return range with { Range = AddressRange.FromBounds(new GuestAddress(start), range.Range.Last) };
        }
    }

    private List<ReservedRange> HostReserved(IReadOnlyList<HostFunction> functions, List<BarPin> memory)
    {
        List<ReservedRange> regions = HostReserves.Regions(functions, region => use == MirrorUse.Describe || region.Type != "direct-relaxable");
        ReservedRange hyperTransport = PlatformLimits.HyperTransport;
        if (HostReserves.IsAmd(host) && !HostReserves.Has(regions, hyperTransport))
        {
            if (memory.Find(pin => pin.Start <= hyperTransport.Range.Last.Value && pin.End > hyperTransport.Range.Start.Value) is { } inside)
            {
                notes.Add($"{hyperTransport.Origin} is not kept free, although the host is AMD's, because the host itself uses it", inside.Name);
            }
            else
            {
                regions.Add(hyperTransport);
            }
        }

        if (!host.KnowsIommuGroups)
        {
            notes.Add("The description has no IOMMU groups, so no reserved regions of the host's IOMMU are kept free");
        }

        return regions;
    }

    /// <summary>ECAM stays where the board has it unless a host BAR or window is there; then the solver finds it a place.</summary>
    private EcamDemand? Ecam(EcamDemand? ecam, IReadOnlyList<HostFunction> functions, List<BarPin> memory, List<ReservedRange> reserved)
    {
        if (ecam?.Pin is not { } pin)
        {
            return ecam;
        }

        AddressRange range = new(pin, ecam.Size);
        string? taker = memory.Where(bar => bar.Start <= range.Last.Value && bar.End > range.Start.Value).Select(bar => bar.Name).FirstOrDefault()
            ?? reserved.Where(other => other.Range.Overlaps(range)).Select(other => other.Origin).FirstOrDefault()
            ?? functions.Where(function => new[] { function.Bridge?.Memory, function.Bridge?.Prefetchable }.Any(window => window?.Overlaps(range) == true))
                .Select(function => $"a window of {function.Address}").FirstOrDefault();
        if (taker is null)
        {
            return ecam;
        }

        notes.Add($"ECAM is not at {pin}, where the board has it, because {taker} is there");
        return ecam with { Pin = null };
    }

    private static ReservedRange Ports(ulong start, ulong size, string origin) => new(new AddressRange(new GuestAddress(start), size), origin);
}
