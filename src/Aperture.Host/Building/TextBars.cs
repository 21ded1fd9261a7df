using Aperture.Host.Model;
using Aperture.Host.Reading;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Host.Building;

/// <summary>
/// A function's BARs as lspci lists them. The text is the kernel's view: it knows VFs' BARs and ROMs whose registers hold nothing, and what of the registers
/// is no BAR.
/// </summary>
internal static class TextBars
{
    private const ulong LegacyEnd = 1 << 20;

    /// <summary>The BARs and the ROM, in register order; <paramref name="registers"/> is empty where no hex dump tells them.</summary>
    internal static List<HostBar> Make(RawFunction raw, List<BarRegister> registers)
    {
        SortedDictionary<int, HostBar> bars = [];
        foreach (BarRegister register in registers)
        {
            bars[register.Index] = new HostBar(register.Index, register.Kind, Assigned(register.Address), 0, SizeOrigin.Unknown);
        }

        HashSet<int> matched = [];
        foreach (RawRegion region in raw.Regions)
        {
            int index = region.Index >= 0 ? region.Index : MatchIndex(bars, matched, region);
            if (index < 0 || !matched.Add(index))
            {
                continue;
            }

            HostBar bar = bars.GetValueOrDefault(index) ?? new HostBar(index, region.Kind, null, 0, SizeOrigin.Unknown);
            bool isFixed = region.Kind == BarKind.Rom && region.Address < LegacyEnd;
            bars[index] = bar with
            {
                Kind = region.Kind,
                Address = isFixed ? Assigned(region.Address ?? 0) : bar.Address ?? Assigned(region.Address ?? 0),
                CpuAddress = Assigned(region.Address ?? 0),
                Size = region.Size ?? 0,
                Origin = region.Size is null ? SizeOrigin.Unknown : SizeOrigin.Known,
                Fixed = isFixed,
            };
        }

        // A kernel that sized all others gave this register nothing: it holds something else, or was never sized, and is no BAR.
        bool complete = raw.Text is { IsVerbose: true, TellsSizes: true };
        return [.. bars.Values.Where(bar => !complete || (matched.Contains(bar.Index) && (bar.Size != 0 || bar.CpuAddress is not null)))];
    }

    /// <summary>
    /// Whether each of <paramref name="bars"/> decodes, where no register tells: by the command bits of <c>-vv</c>, else by the mark on its line.
    /// </summary>
    internal static List<HostBar> WithState(List<HostBar> bars, RawFunction raw) =>
    [
        .. bars.Select(bar =>
        {
            PciCommand bit = bar.Kind == BarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
            bool told = raw.Text is { IsVerbose: true };
            bool marked = raw.Regions.Exists(region => region.Address == bar.CpuAddress?.Value && region.Kind == bar.Kind && region.IsDisabled);
            return bar with { Enabled = told && bar.Assigned && !marked && (raw.Text!.Command is not { } command || (command & bit) != 0) };
        }),
    ];

    /// <summary>
    /// The BAR that an unnumbered line speaks of: the one with its address, the first of its kind without a line, or a new one behind those that have one.
    /// </summary>
    private static int MatchIndex(SortedDictionary<int, HostBar> bars, HashSet<int> matched, RawRegion region)
    {
        int sameKind = -1;
        int next = 0;
        foreach ((int index, HostBar bar) in bars)
        {
            if (bar.Kind == region.Kind && !matched.Contains(index))
            {
                if (region.Address is { } address && bar.Address == new GuestAddress(address))
                {
                    return index;
                }

                sameKind = sameKind < 0 ? index : sameKind;
            }

            next = bar.Kind == BarKind.Rom ? next : Math.Max(next, index + (bar.Kind.Is64Bit() ? 2 : 1));
        }

        // Behind all of the registers: only where there are none, or none of this kind.
        return sameKind >= 0 ? sameKind : next < BarKinds.RomIndex ? next : -1;
    }

    private static GuestAddress? Assigned(ulong address) => address == 0 ? null : new GuestAddress(address);
}
