using Aperture.Host.Model;
using Aperture.Host.Reading;
using Aperture.Pci;

namespace Aperture.Host.Building;

/// <summary>
/// Ranges that the Enhanced Allocation capability gives a function for good (PCI Express 5.0, section 7.8.5). The BAR that one stands for reads as zero and
/// cannot be moved; a VF BAR's entry has the size for one VF.
/// </summary>
/// <param name="Equivalent">What it stands for: 0 to 5 a BAR, 8 the ROM, 9 to 14 a VF BAR.</param>
/// <param name="Kind">What it decodes.</param>
/// <param name="Start">The first address.</param>
/// <param name="Size">In bytes.</param>
internal readonly record struct EnhancedAllocation(int Equivalent, BarKind Kind, GuestAddress Start, ulong Size)
{
    private const byte Capability = 0x14;
    private const int Rom = 8;
    private const int FirstVf = 9;
    private const int LastVf = 14;

    /// <summary>The BARs and the ROM of <paramref name="bars"/> with those that have an entry as that says.</summary>
    internal static List<HostBar> Apply(List<HostBar> bars, IReadOnlyList<EnhancedAllocation> entries)
    {
        SortedDictionary<int, HostBar> all = new(bars.ToDictionary(static bar => bar.Index));
        foreach (EnhancedAllocation entry in entries.Where(static entry => entry.Equivalent is < BarKinds.RomIndex or Rom))
        {
            int index = entry.Equivalent == Rom ? BarKinds.RomIndex : entry.Equivalent;
            all[index] = new HostBar(index, index == BarKinds.RomIndex ? BarKind.Rom : entry.Kind, entry.Start, entry.Size, SizeOrigin.Known)
            {
                CpuAddress = all.GetValueOrDefault(index)?.CpuAddress ?? entry.Start,
                Fixed = true,
            };
        }

        return [.. all.Values];
    }

    /// <summary>The VF BARs that have an entry.</summary>
    internal static IEnumerable<HostVfBar> VfBars(IReadOnlyList<EnhancedAllocation> entries) =>
        entries.Where(static entry => entry.Equivalent is >= FirstVf and <= LastVf)
            .Select(static entry => new HostVfBar(entry.Equivalent - FirstVf, entry.Kind, entry.Start, entry.Size, SizeOrigin.Known));

    /// <summary>The entries that are enabled, as the registers or else the lines of <c>-vv</c> tell them; the first of those that stand for one BAR.</summary>
    internal static IReadOnlyList<EnhancedAllocation> Read(ConfigBytes config, RawText? text) =>
        text is { Allocations: { Count: > 0 } printed } && config.FindCapability(Capability) == 0
            ? [.. printed.Select(Entry).OfType<EnhancedAllocation>().DistinctBy(static entry => entry.Equivalent)]
            : Read(config);

    private static EnhancedAllocation? Entry(RawAllocation printed) =>
        printed.Enabled ? Entry(printed.Equivalent, printed.Property, byte.MaxValue, printed.Base, printed.MaxOffset) : null;

    private static List<EnhancedAllocation> Read(ConfigBytes config)
    {
        List<EnhancedAllocation> entries = [];
        int at = config.FindCapability(Capability);
        if (at == 0)
        {
            return entries;
        }

        const int Multiple = 0x3F;
        int count = config.U8(at + 2) & Multiple;

        // A bridge has its fixed bus numbers before the first entry.
        int place = at + (config.HeaderLayout == 1 ? 8 : 4);
        for (int i = 0; i < count && place + 12 <= config.Length; i++)
        {
            uint head = config.U32(place);
            if (Entry(config, place, head) is { } entry && !entries.Exists(other => other.Equivalent == entry.Equivalent))
            {
                entries.Add(entry);
            }

            place += 4 + 4 * (int)(head & 7);
        }

        return entries;
    }

    private static EnhancedAllocation? Entry(ConfigBytes config, int at, uint head)
    {
        const uint Enabled = 1u << 31;
        const uint Is64Bit = 1 << 1;
        uint baseLow = config.U32(at + 4);
        uint offsetLow = config.U32(at + 8);
        int next = at + 12;
        ulong start = baseLow & ~3u;
        ulong last = offsetLow | 3u;
        if ((baseLow & Is64Bit) != 0)
        {
            start |= (ulong)config.U32(next) << 32;
            next += 4;
        }

        if ((offsetLow & Is64Bit) != 0)
        {
            last |= (ulong)config.U32(next) << 32;
        }

        return (head & Enabled) != 0 ? Entry((int)(head >> 4 & 0xF), (byte)(head >> 8), (byte)(head >> 16), start, last) : null;
    }

    private static EnhancedAllocation? Entry(int equivalent, byte primary, byte secondary, ulong start, ulong maxOffset)
    {
        bool fits = start != 0 && maxOffset != ulong.MaxValue && AddressRange.Fits(new GuestAddress(start), maxOffset + 1);
        bool wide = fits && start + maxOffset > uint.MaxValue;
        return fits && KindOf(primary, secondary, wide) is { } kind ? new EnhancedAllocation(equivalent, kind, new GuestAddress(start), maxOffset + 1) : null;
    }

    /// <summary>By the primary property, or by the secondary where that says nothing known (table 7-125).</summary>
    private static BarKind? KindOf(byte primary, byte secondary, bool wide) => primary switch
    {
        0 or 4 => wide ? BarKind.Memory64 : BarKind.Memory32,
        1 or 3 => wide ? BarKind.Memory64Prefetchable : BarKind.Memory32Prefetchable,
        2 => BarKind.Io,
        _ when secondary <= 4 => KindOf(secondary, byte.MaxValue, wide),
        _ => null,
    };
}
