using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using ReservedRange = Aperture.Placement.Platforms.ReservedRange;

namespace Aperture.Report.Tests;

/// <summary>Maps that no solver made: BARs at random disjoint places, bridges nested at random, names of any characters.</summary>
internal static class RandomReport
{
    public static PlanReport Make(int seed, int count)
    {
        Random random = new(seed);
        List<FunctionPlacement> functions = [];
        ulong low = 0xC000_0000;
        ulong high = 1UL << 40;
        ulong port = 0x1000;
        List<FunctionPlacement> open = [];
        for (int i = 0; i < count; i++)
        {
            List<BarPlacement> bars = [];
            for (int bar = random.Next(0, 4); bar > 0; bar--)
            {
                BarKind kind = (BarKind)random.Next(0, 6);
                ulong size = kind == BarKind.Io ? 32UL : 1UL << random.Next(4, kind.Is64Bit() ? 36 : 18);
                ref ulong at = ref kind == BarKind.Io ? ref port : ref kind.Is64Bit() ? ref high : ref low;
                at += random.Next(3) == 0 ? size * (ulong)random.Next(1, 5) : 0;
                at = (at + size - 1) & ~(size - 1);
                bars.Add(Samples.Bar(bar, kind, at, size, (PlacementReasonKind)random.Next(0, 4)));
                at += size;
            }

            open.Add(Samples.Function(Name(random), (byte)i, 0, [.. bars]));
            if (random.Next(4) == 0)
            {
                functions.Add(Behind(random, (byte)i, open));
                open = [];

                // Windows of neighbouring bridges share no unit.
                low = (low + 0xF_FFFF) & ~0xF_FFFFUL;
                high = (high + 0xF_FFFF) & ~0xF_FFFFUL;
                port = (port + 0xFFF) & ~0xFFFUL;
            }
        }

        functions.AddRange(open);
        PlanReport made = Samples.HandMade();
        HostBridgePlacement host = made.Map.HostBridges[0] with
        {
            Name = Name(random),
            IoWindows = [Samples.Range(0x1000, 0xF000)],
            Mmio32Windows = [Samples.Range(0xC000_0000, 0x3EC0_0000)],
            Mmio64Windows = [Samples.Range(1UL << 40, 126UL << 40)],
            Functions = functions,
        };
        ReservedRange[] reserved =
            [.. Enumerable.Range(0, random.Next(0, 12))
                .Select(i => new ReservedRange(Samples.Range((ulong)(i + 20) << 32, 1UL << random.Next(12, 32)), Name(random)))];
        return made with
        {
            Map = made.Map with { HostBridges = [host] },
            Request = made.Request with { Platform = made.Request.Platform with { Reserved = [.. PlatformLimits.Q35Reserved, .. reserved] } },
            Origins = [.. functions.SelectMany(
                f => f.Bars.Select(b => new BarOrigin(f.Name, b.Demand.Index, new HostPhysicalAddress(b.Address.Value + (ulong)random.Next(2)))))],
        };
    }

    private static FunctionPlacement Behind(Random random, byte bus, List<FunctionPlacement> functions)
    {
        AddressRange? Around(Func<BarKind, bool> kinds, ulong unit)
        {
            List<AddressRange> ranges = [.. functions.SelectMany(f => f.Bars).Where(b => kinds(b.Demand.Kind)).Select(b => b.Range)];
            return ranges.Count == 0
                ? null : AddressRange.FromBounds(ranges.Min(r => r.Start).AlignDown(unit), (ranges.Max(r => r.Last) + 1).AlignUp(unit) - 1);
        }

        return Samples.Bridge(Name(random), bus, 1, bus, Around(k => k == BarKind.Io, 4096), Around(k => k != BarKind.Io && !k.Is64Bit(), 1 << 20),
            Around(k => k.Is64Bit(), 1 << 20), [.. functions]);
    }

    private static string Name(Random random)
    {
        int length = random.Next(1, random.Next(10) == 0 ? 90 : 12);
        return new string([.. Enumerable.Range(0, length).Select(_ => random.Next(4) == 0 ? (char)random.Next(0, 0x10000) : (char)random.Next('a', 'z'))]);
    }
}
