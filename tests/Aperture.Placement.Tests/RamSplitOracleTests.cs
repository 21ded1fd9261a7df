using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using FsCheck.Fluent;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

/// <summary>
/// Requests near the limit against exhaustive search, which tries every end of low RAM and every place for every BAR. The board is small, so that
/// a MiB is a slot: RAM from 0, the hole from somewhere between 8M and 24M to 32M, and 16M above 4 GiB that RAM and BARs share.
/// </summary>
public class RamSplitOracleTests
{
    private const int Floor = 8;
    private const int Ceiling = 24;
    private const int LowEnd = 32;
    private const int HighEnd = 16;

    private readonly record struct Bar(int Bus, int Size, BarKind Kind, int? Pin);

    private static PlatformLimits Board(int ram, IEnumerable<int> reserved) => new()
    {
        PhysicalAddressBits = 33,
        RamSize = (ulong)ram * M,
        LowRamFloor = Floor * M,
        LowRamCeiling = Ceiling * M,

        // Pins may lie above it, so floating BARs may when nothing else is left.
        Mmio32End = new GuestAddress(28 * M),
        Ecam = null,
        Reserved =
        [
            .. reserved.Select(slot => new ReservedRange(Range((ulong)slot * M, M), "a reserved MiB")),
            new ReservedRange(Range(LowEnd * M, 4 * G - LowEnd * M), "the end of the low space"),
            new ReservedRange(Range(4 * G + HighEnd * M, 4 * G - HighEnd * M), "the end of the space"),
        ],
    };

    /// <summary>Every end of low RAM that the board allows: the free slots below (bits 0 to 31) and above 4 GiB (bits 32 to 47).</summary>
    private static IEnumerable<ulong> Splits(int ram, List<int> reserved, List<Bar> bars)
    {
        int lowest = Math.Min(ram, Floor);
        int pin = bars.Where(bar => bar.Pin is not null).Select(bar => bar.Pin!.Value).DefaultIfEmpty(LowEnd).Min();
        for (int end = Math.Min(Ceiling, Math.Max(lowest, pin)); end >= lowest; end--)
        {
            int above = Math.Max(0, ram - end);
            if (above <= HighEnd)
            {
                ulong low = ((1UL << LowEnd) - 1) & ~((1UL << end) - 1);
                ulong high = ((1UL << HighEnd) - 1) & ~((1UL << above) - 1);
                yield return reserved.Aggregate(low, (free, slot) => free & ~(1UL << slot)) | high << LowEnd;
            }
        }
    }

    private static (List<Bar> Bars, List<int> Reserved, int Ram) Draw(Random random, int buses)
    {
        int ram = random.Next(6, 40);
        List<int> reserved = [.. Enumerable.Range(0, random.Next(3)).Select(_ => random.Next(Floor, LowEnd)).Distinct()];

        // As much as there is room for, or nearly: there the split of RAM decides.
        int left = LowEnd + HighEnd - Math.Max(ram, Floor) - reserved.Count + random.Next(-8, 3);
        List<Bar> bars = [];
        while (left > 0 && bars.Count < 7)
        {
            int size = 1 << random.Next(4);
            if (size > left)
            {
                size = 1;
            }

            BarKind kind = random.Next(2) == 0 ? BarKind.Memory32 : BarKind.Memory64Prefetchable;
            int slot = random.Next(Floor, LowEnd) & -size;
            int? pin = random.Next(8) == 0 && slot >= Math.Min(ram, Floor) ? slot : null;
            bars.Add(new Bar(random.Next(buses), size, kind, pin));
            left -= size;
        }

        return (bars, reserved, ram);
    }

    private static FunctionDemand Function(Bar bar, int index) =>
        Device($"d{index}", index, Build.Bar(0, bar.Kind, (ulong)bar.Size * M, bar.Pin is { } slot ? (ulong)slot * M : null));

    [Fact]
    public void On_one_bus_a_layout_is_found_exactly_when_some_split_of_RAM_leaves_one()
    {
        (int found, int impossible) = (0, 0);
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            (List<Bar> bars, List<int> reserved, int ram) = Draw(new Random(seed), 1);
            PlacementRequest request = RequestFor(Board(ram, reserved), [.. bars.Select(Function)]);
            PlacementResult result = PlacementSolver.Solve(request);
            Bar[] sorted = [.. bars.OrderBy(bar => bar.Pin is null).ThenByDescending(bar => bar.Size).ThenBy(bar => bar.Kind)];
            bool exists = Splits(ram, reserved, bars).Any(free => Exists(sorted, 0, free, 0));
            Assert.True(exists == result.Map is not null, $"{string.Join(' ', bars)} {ram}: {string.Join('\n', result.Conflicts)}");
            if (result.Map is not null)
            {
                LayoutChecker.Check(request, result.Map);
                found++;
                return;
            }

            Assert.DoesNotContain(result.Conflicts, conflict => conflict.Kind == PlacementConflictKind.NotFound);
            impossible++;
        }).Holds(2500);
        Assert.True(found > 500 && impossible > 500, $"one-sided sample: {found} found, {impossible} impossible");
    }

    /// <summary>Tries every slot; of equal BARs the later one lies higher, which leaves no layout out.</summary>
    private static bool Exists(Bar[] bars, int index, ulong free, int from)
    {
        if (index == bars.Length)
        {
            return true;
        }

        Bar bar = bars[index];
        ulong mask = (1UL << bar.Size) - 1;
        int end = bar.Kind == BarKind.Memory32 ? LowEnd : LowEnd + HighEnd;
        bool same = index + 1 < bars.Length && bars[index + 1] == bar && bar.Pin is null;
        for (int slot = bar.Pin ?? (from + bar.Size - 1) & -bar.Size; slot + bar.Size <= end; slot += bar.Size)
        {
            if ((free & mask << slot) == mask << slot && Exists(bars, index + 1, free & ~(mask << slot), same ? slot + bar.Size : 0))
            {
                return true;
            }

            if (bar.Pin is not null)
            {
                return false;
            }
        }

        return false;
    }

    [Fact]
    public void Behind_bridges_no_layout_is_called_impossible_when_a_split_leaves_one_and_few_are_missed()
    {
        (int exists, int missed, int impossible) = (0, 0, 0);
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), seed =>
        {
            (List<Bar> bars, List<int> reserved, int ram) = Draw(new Random(seed), 2);
            bars = [.. bars.Take(6).Select(bar => bar with { Pin = null })];
            List<(Bar Bar, int Index)> placed = [.. bars.Select((bar, index) => (bar, index))];
            PlacementRequest request = RequestFor(
                Board(ram, reserved),
                Bridge("rp0", 20, Bridge("up0", 0,
                    [.. placed.Where(item => item.Bar.Bus == 0).Select(item => Bridge($"dn{item.Index}", item.Index, Function(item.Bar, item.Index)))])),
                Bridge("rp1", 21, [.. placed.Where(item => item.Bar.Bus == 1).Select(item => Function(item.Bar, item.Index))]));
            PlacementResult result = PlacementSolver.Solve(request);
            Bar[] sorted = [.. bars.OrderByDescending(bar => bar.Size)];
            bool oracle = Splits(ram, reserved, bars).Any(free => ExistsBehind(sorted, 0, free, new ulong[4]));
            (exists, impossible) = oracle ? (exists + 1, impossible) : (exists, impossible + 1);
            if (result.Map is not null)
            {
                LayoutChecker.Check(request, result.Map);
                Assert.True(oracle);
            }
            else if (oracle)
            {
                missed++;
                Assert.All(result.Conflicts, conflict => Assert.True(conflict.Kind == PlacementConflictKind.NotFound, conflict.Sentence));
            }
        }).Holds(1200);
        Assert.True(exists > 100 && impossible > 100, $"one-sided sample: {exists} exist, {impossible} impossible");
        Assert.True(missed * 50 <= exists, $"{missed} of {exists} layouts were missed");
    }

    /// <summary>
    /// Tries every slot for every BAR. Each of two root ports claims one run below and one above 4 GiB: a memory window and a prefetchable one. Both its
    /// windows below are one run here, or the second is of prefetchable BARs alone, which needs the run above to be empty.
    /// </summary>
    private static bool ExistsBehind(Bar[] bars, int index, ulong free, ulong[] used)
    {
        ulong[] claims = [Run(used[0] & Low), Run(used[0] & ~Low), Run(used[2]), Run(used[1] & Low), Run(used[1] & ~Low), Run(used[3])];
        ulong all = 0;
        foreach (ulong claim in claims)
        {
            if ((claim & ~free) != 0 || (claim & all) != 0)
            {
                return false;
            }

            all |= claim;
        }

        if (index == bars.Length)
        {
            return true;
        }

        Bar bar = bars[index];
        ulong mask = (1UL << bar.Size) - 1;
        int end = bar.Kind == BarKind.Memory32 ? LowEnd : LowEnd + HighEnd;
        ulong taken = used[0] | used[1] | used[2] | used[3];
        for (int slot = 0; slot + bar.Size <= end; slot += bar.Size)
        {
            if ((taken & mask << slot) != 0 || (free & mask << slot) != mask << slot)
            {
                continue;
            }

            foreach (int run in bar.Kind == BarKind.Memory32 || slot >= LowEnd ? [bar.Bus] : new[] { bar.Bus, bar.Bus + 2 })
            {
                ulong[] next = [.. used];
                next[run] |= mask << slot;
                if (((next[bar.Bus] & ~Low) == 0 || next[bar.Bus + 2] == 0) && ExistsBehind(bars, index + 1, free, next))
                {
                    return true;
                }
            }
        }

        return false;
    }

    private const ulong Low = (1UL << LowEnd) - 1;

    private static ulong Run(ulong used) => used == 0
        ? 0
        : ulong.MaxValue >> System.Numerics.BitOperations.LeadingZeroCount(used) & ulong.MaxValue << System.Numerics.BitOperations.TrailingZeroCount(used);

    [Fact]
    public void RAM_that_ends_at_no_multiple_of_64M_leaves_its_room_to_BARs()
    {
        BarDemand[] Bars(params ulong[] sizes) => [.. sizes.Select((size, index) => Build.Bar(index, BarKind.Memory32, size * M))];
        PlacementRequest request = RequestFor(
            PlatformLimits.Q35(129 * M, 36), Device("a", 1, Bars(1024, 512, 512, 512, 256, 256)), Device("b", 2, Bars(256, 128, 64, 64, 32, 32)));
        Assert.Equal(0xA00_0000UL, Build.Map(request).Functions.SelectMany(function => function.Bars).Min(bar => bar.Address.Value));
    }

    [Fact]
    public void Behind_a_switch_each_BAR_goes_high_or_low_by_itself()
    {
        // 8 GiB of addresses: of the 4 GiB above, RAM takes two. Two of the BARs fill the rest, and all three have no run below.
        FunctionDemand Port(string name, int device, ulong size) =>
            Bridge($"dn{device}", device, Device(name, 0, Build.Bar(0, BarKind.Memory64Prefetchable, size)));
        PlacementRequest request = RequestFor(
            PlatformLimits.Q35(4864 * M, 33), Bridge("rp0", 1, Bridge("up0", 0, Port("a", 0, G), Port("b", 1, G), Port("c", 2, G / 2))));
        PlacementMap map = Build.Map(request);
        Assert.True(map.At("a", 0) >= PlatformLimits.FourGiB && map.At("b", 0) >= PlatformLimits.FourGiB);
        Assert.True(map.Bridge("rp0").Memory!.Value.Contains(map.Bar("c", 0).Range));
        Assert.Null(map.Bridge("dn2").Prefetchable);
    }

    [Fact]
    public void A_port_below_a_switch_keeps_its_reserve_below_4_GiB_when_there_is_no_room_above()
    {
        FunctionDemand hot = Bridge("dn0", 0) with { Bridge = new BridgeDemand([]) { Reserve = new HotplugReserve { Prefetchable = G / 2 } } };
        PlacementRequest request = RequestFor(PlatformLimits.Q35(4864 * M, 33), Bridge("rp0", 1, Bridge("up0", 0,
            hot, Bridge("dn1", 1, Device("b", 0, Build.Bar(0, BarKind.Memory64Prefetchable, 2 * G))))));
        Assert.True(Build.Map(request).Bridge("dn0").Prefetchable!.Value.Last.Value < PlatformLimits.FourGiB);
    }

    /// <summary>All the functions that a root bus takes, asking for 99 % of what 8 GiB of addresses leave beside RAM.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_full_root_bus_near_the_limit_is_placed(int seed)
    {
        const int Count = 237;
        Random random = new(seed);
        ulong ram = 3000 + (ulong)random.Next(2000);
        ulong left = (8192 - ram - 276) * M / 100 * 99;
        List<FunctionDemand> functions = [];
        for (int place = 0; place < Count; place++)
        {
            ulong fair = left / (ulong)(Count - place);
            ulong size = 1UL << Math.Clamp(System.Numerics.BitOperations.Log2(fair) + random.Next(-2, 2), 12, 30);
            left -= Math.Min(left, size);
            functions.Add(new FunctionDemand(
                $"f{place}", (byte)(place + 8), [Build.Bar(0, random.Next(4) == 0 ? BarKind.Memory32 : BarKind.Memory64Prefetchable, size)]));
        }

        Build.Map(RequestFor(PlatformLimits.Q35(ram * M, 33), [.. functions]));
    }
}
