using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using FsCheck.Fluent;

namespace Aperture.Placement.Tests;

/// <summary>Small cases against exhaustive search: the oracle tries every place for every BAR and knows nothing else.</summary>
public class OracleTests
{
    private const ulong LowBase = 0xC000_0000;
    private const ulong HighBase = 0x10_0000_0000;

    /// <summary>A root bus with two windows of 16 pages, some of them reserved, and BARs of 1 to 8 pages, some of them pinned.</summary>
    [Fact]
    public void On_one_bus_a_layout_is_found_exactly_when_there_is_one()
    {
        int found = 0;
        int impossible = 0;
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            Random random = new(seed);
            const ulong Page = 4096;
            List<ReservedRange> reserved = [];
            ulong[] taken = [0, 0];
            for (int count = random.Next(4); count > 0; count--)
            {
                int side = random.Next(2);
                int page = random.Next(16);
                taken[side] |= 1UL << page;
                reserved.Add(new(Build.Range((side == 0 ? LowBase : HighBase) + (ulong)page * Page, Page), "a reserved page"));
            }

            List<FunctionDemand> functions = [];
            List<(int Pages, bool MayGoHigh, int? Pin)> bars = [];
            for (int device = 0, count = random.Next(1, 8); device < count; device++)
            {
                int pages = 1 << random.Next(4);
                BarKind kind = random.Next(2) == 0 ? BarKind.Memory32 : random.Next(2) == 0 ? BarKind.Memory64 : BarKind.Memory64Prefetchable;
                int slots = kind.Is64Bit() ? 32 : 16;
                int? pin = random.Next(4) == 0 ? random.Next(slots / pages) * pages : null;
                ulong? address = pin is { } slot ? (slot < 16 ? LowBase + (ulong)slot * Page : HighBase + (ulong)(slot - 16) * Page) : null;
                bars.Add((pages, kind.Is64Bit(), pin));
                functions.Add(Build.Device($"d{device}", device, Build.Bar(0, kind, (ulong)pages * Page, address)));
            }

            PlatformLimits platform = Build.Platform with
            {
                Mmio32Window = Build.Range(LowBase, 16 * Page),
                Mmio64Window = Build.Range(HighBase, 16 * Page),
                Reserved = reserved,
            };
            PlacementRequest request = Build.RequestFor(platform, [.. functions]);
            PlacementResult result = PlacementSolver.Solve(request);
            bool exists = Exists([.. bars.OrderBy(bar => bar.Pin is null)], 0, taken[0] | taken[1] << 16);
            Assert.True(exists == result.Map is not null, string.Join('\n', result.Conflicts));
            if (result.Map is not null)
            {
                LayoutChecker.Check(request, result.Map);
                found++;
            }
            else
            {
                Assert.DoesNotContain(result.Conflicts, conflict => conflict.Kind == PlacementConflictKind.NotFound);
                impossible++;
            }
        }).Holds(4000);
        Assert.True(found > 200 && impossible > 200, $"one-sided sample: {found} found, {impossible} impossible");
    }

    /// <summary>Slots 0 to 15 are low pages, 16 to 31 high ones.</summary>
    private static bool Exists((int Pages, bool MayGoHigh, int? Pin)[] bars, int index, ulong taken)
    {
        if (index == bars.Length)
        {
            return true;
        }

        (int pages, bool mayGoHigh, int? pin) = bars[index];
        ulong mask = (1UL << pages) - 1;
        for (int slot = 0; slot < (mayGoHigh ? 32 : 16); slot += pages)
        {
            if ((pin is null || pin == slot) && (taken & mask << slot) == 0 && Exists(bars, index + 1, taken | mask << slot))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Two bridges and the root bus share 8 MiB of 32-bit space; half-MiB units, so that window granularity matters.</summary>
    [Fact]
    public void With_bridges_no_layout_is_called_impossible_when_there_is_one_and_few_are_missed()
    {
        int exists = 0;
        int missed = 0;
        int impossible = 0;
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            Random random = new(seed);
            const ulong Unit = Build.M / 2;
            List<BarDemand>[] buses = [[], [], []];
            List<(int Bus, int Units, int? Pin)> bars = [];
            for (int count = random.Next(2, 7); count > 0; count--)
            {
                int bus = random.Next(3);
                int units = 1 << random.Next(4);
                int? pin = random.Next(3) == 0 ? random.Next(16 / units) * units : null;
                bars.Add((bus, units, pin));
                ulong? address = pin is { } slot ? LowBase + (ulong)slot * Unit : null;
                buses[bus].Add(Build.Bar(buses[bus].Count, BarKind.Memory32, (ulong)units * Unit, address));
            }

            FunctionDemand[] functions =
            [
                .. buses[0].Select((bar, device) => Build.Device($"r{device}", device, bar with { Index = 0 })),
                Build.Bridge("b1", 20, [.. buses[1].Select((bar, device) => Build.Device($"x{device}", device, bar with { Index = 0 }))]),
                Build.Bridge("b2", 21, [.. buses[2].Select((bar, device) => Build.Device($"y{device}", device, bar with { Index = 0 }))]),
            ];
            PlatformLimits platform = Build.Platform with { Mmio32Window = Build.Range(LowBase, 16 * Unit) };
            PlacementRequest request = Build.RequestFor(platform, functions);
            PlacementResult result = PlacementSolver.Solve(request);
            bool oracle = ExistsBehind([.. bars.OrderBy(bar => bar.Pin is null).ThenByDescending(bar => bar.Units)], 0, [0, 0, 0]);
            if (result.Map is not null)
            {
                LayoutChecker.Check(request, result.Map);
                Assert.True(oracle);
                exists++;
            }
            else if (oracle)
            {
                exists++;
                missed++;
                Assert.All(result.Conflicts, conflict => Assert.True(conflict.Kind == PlacementConflictKind.NotFound, conflict.Sentence));
            }
            else
            {
                impossible++;
            }
        }).Holds(4000);
        Assert.True(exists > 200 && impossible > 200, $"one-sided sample: {exists} exist, {impossible} impossible");
        Assert.True(missed * 50 <= exists, $"{missed} of {exists} layouts were missed");
    }

    /// <summary>Tries every unit for every BAR; a bridge claims the whole MiBs from its lowest to its highest BAR.</summary>
    private static bool ExistsBehind((int Bus, int Units, int? Pin)[] bars, int index, uint[] used)
    {
        uint first = Claim(used[1]);
        uint second = Claim(used[2]);
        if ((used[0] & first) != 0 || (used[0] & second) != 0 || (first & second) != 0)
        {
            return false;
        }

        if (index == bars.Length)
        {
            return true;
        }

        (int bus, int units, int? pin) = bars[index];
        uint mask = (1u << units) - 1;
        for (int slot = 0; slot < 16; slot += units)
        {
            if ((pin is null || pin == slot) && (used[bus] & mask << slot) == 0)
            {
                uint[] next = [.. used];
                next[bus] |= mask << slot;
                if (ExistsBehind(bars, index + 1, next))
                {
                    return true;
                }
            }
        }

        return false;
    }

    private static uint Claim(uint used)
    {
        if (used == 0)
        {
            return 0;
        }

        int low = System.Numerics.BitOperations.TrailingZeroCount(used) & ~1;
        int high = (31 - System.Numerics.BitOperations.LeadingZeroCount(used)) | 1;
        return (uint)((1UL << (high + 1)) - (1UL << low));
    }
}
