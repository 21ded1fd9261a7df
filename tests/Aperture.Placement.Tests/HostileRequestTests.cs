using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Reasons;
using Aperture.Placement.Request;
using FsCheck.Fluent;
using static Aperture.Placement.Tests.Build;

namespace Aperture.Placement.Tests;

/// <summary>Requests that nobody would make in good faith: the answer is a map or sentences, never an exception.</summary>
public class HostileRequestTests
{
    private static readonly ulong[] Numbers =
    [
        0, 1, 3, 16, 4096, 0x10_0000, 0xB000_0000, 0xFEE0_0000, 0xFFFF_FFFF, 0x1_0000_0000, 1UL << 40, (1UL << 57) - 1, 1UL << 57, 1UL << 62, 1UL << 63,
        ulong.MaxValue,
    ];

    [Fact]
    public void Random_nonsense_is_answered_without_an_exception() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue - 1).ToArbitrary(), CheckNonsense).Holds(4000);

    /// <summary>Requests that were once answered wrongly.</summary>
    [Theory]
    [InlineData(1988510818)]
    public void Nonsense_of_the_past_is_answered_rightly(int seed) => CheckNonsense(seed);

    [Fact]
    public void A_chain_of_300_bridges_is_a_sentence_about_bus_numbers()
    {
        FunctionDemand function = Device("leaf", 0);
        for (int depth = 0; depth < 300; depth++)
        {
            function = Bridge($"b{depth}", 0, function);
        }

        Assert.Equal(PlacementConflictKind.BusNumbers, PlacementSolver.Solve(RequestFor(function)).Conflicts[0].Kind);
    }

    [Fact]
    public void A_chain_of_250_bridges_with_BARs_everywhere_is_placed()
    {
        FunctionDemand function = Device("leaf", 0, Bar(0, BarKind.Memory64Prefetchable, M));
        for (int depth = 0; depth < 250; depth++)
        {
            function = Bridge($"b{depth}", 0, function, Device($"d{depth}", 1, Bar(0, BarKind.Memory32, 4 * K), Bar(2, BarKind.Memory64Prefetchable, M)));
        }

        Build.Map(RequestFor(function));
    }

    [Fact]
    public void Ten_thousand_functions_are_placed() => Build.Map(Many(10_000, pinned: false));

    [Fact]
    public void Ten_thousand_functions_pinned_at_one_address_are_a_bounded_number_of_sentences()
    {
        PlacementResult result = PlacementSolver.Solve(Many(10_000, pinned: true));
        Assert.Null(result.Map);
        Assert.InRange(result.Conflicts.Count, 1, 200);
    }

    [Fact]
    public void Sixty_five_thousand_VFs_need_room_and_bus_numbers()
    {
        FunctionDemand With(ushort stride) =>
            Device("nic", 0, Bar(BarIndex.Vf0, BarKind.Memory64Prefetchable, 16 * K)) with { Sriov = new SriovDemand(ushort.MaxValue) { Stride = stride } };
        Assert.Equal(ushort.MaxValue * 16 * K, Build.Map(RequestFor(Platform with { PhysicalAddressBits = 52 }, With(1))).Bar("nic", BarIndex.Vf0).Range.Size);
        PlacementConflict conflict = Build.Conflict(RequestFor(Platform, With(2)));
        Assert.Equal(PlacementConflictKind.BusNumbers, conflict.Kind);
        Assert.Equal(RemedyKind.FewerVfs, conflict.Remedy!.Kind);
    }

    [Fact]
    public void Many_reserved_ranges_cost_no_more_than_sorting_them()
    {
        List<ReservedRange> reserved =
            [.. Enumerable.Range(0, 50_000).Select(index => new ReservedRange(Range(0xC000_0000 + (ulong)index * 8192, 4096), "a page"))];
        PlacementMap map = Build.Map(
            RequestFor(Platform with { Reserved = reserved }, Device("a", 1, Bar(0, BarKind.Memory32, 4 * K), Bar(1, BarKind.Memory32, 8 * K))));
        Assert.Equal(0xC000_1000UL, map.At("a", 0));
    }

    private static void CheckNonsense(int seed)
    {
        PlacementRequest request = new Nonsense(seed).RequestFor();
        PlacementResult result = PlacementSolver.Solve(request);
        Assert.NotEqual(result.Map is null, result.Conflicts.Count == 0);
        if (result.Map is not null)
        {
            LayoutChecker.Check(request, result.Map);
        }
    }

    private static PlacementRequest Many(int count, bool pinned)
    {
        List<FunctionDemand> bridges = [];
        for (int first = 0; first < count; first += 200)
        {
            int from = first;
            bridges.Add(new FunctionDemand($"b{first}", (byte)bridges.Count, [])
            {
                Bridge = new BridgeDemand(
                    [.. Enumerable.Range(0, Math.Min(200, count - first)).Select(index => new FunctionDemand($"f{from + index}", (byte)index,
                    [Bar(0, BarKind.Memory32, 4 * K, pinned ? 0xC000_0000 : null), Bar(1, BarKind.Memory32, 16 * K),
                        Bar(2, BarKind.Memory64Prefetchable, M << (index % 8)), Bar(4, BarKind.Memory64Prefetchable, 64 * K)]))]),
            });
        }

        return RequestFor(PlatformLimits.Q35(8 * G, 52), [.. bridges]);
    }

    private sealed class Nonsense(int seed)
    {
        private readonly Random _random = new(seed);

        public PlacementRequest RequestFor()
        {
            bool sane = _random.Next(3) > 0;
            PlatformLimits platform = PlatformLimits.Q35(sane ? 2 * G : Number(), sane ? 52 : _random.Next(-1, 66));
            platform = platform with
            {
                Reserved = [new ReservedRange(Range(), "something", (ReservedKind)_random.Next(7)), new ReservedRange(Range(), "something else")],
                ReservedIo = [new ReservedRange(Range(), "ports")],
                Hole = (LowHole)_random.Next(2),
                Ecam = _random.Next(3) switch
                {
                    0 => null,
                    1 => new EcamDemand(256 * M, null),
                    _ =>
                    new EcamDemand(sane ? 256 * M : Number(), new GuestAddress(Number()))
                },
                Mmio32Window = Rarely() ? Range() : null,
                Mmio64Window = Rarely() ? Range() : null,
                LowRamFloor = Rarely() ? Number() : platform.LowRamFloor,
                LowRamCeiling = Rarely() ? Number() : platform.LowRamCeiling,
                Mmio32End = Rarely() ? new GuestAddress(Number()) : platform.Mmio32End,
                SegmentEcams = Rarely() ? new Dictionary<uint, EcamDemand> { [1] = new(256 * M, new GuestAddress(Number())) } : platform.SegmentEcams,
            };
            return new PlacementRequest(platform, [.. Enumerable.Range(0, _random.Next(1, 4)).Select(Host)]);
        }

        private HostBridgeDemand Host(int index) => new($"h{(Rarely() ? 0 : index)}", [.. Enumerable.Range(0, _random.Next(3)).Select(_ => Function(0))])
        {
            Segment = Rarely() ? uint.MaxValue : (uint)index,
            FirstBus = (byte)(Rarely() ? 200 : 0),
            LastBus = (byte)(Rarely() ? 3 : 255),
            IoWindows = Rarely() ? [Range()] : null,
            Mmio32Windows = Rarely() ? [Range(), Range()] : null,
            Mmio64Windows = Rarely() ? [Range()] : null,
        };

        private FunctionDemand Function(int depth) =>
            new($"f{_random.Next(1000)}", (byte)_random.Next(256), [.. Enumerable.Range(0, _random.Next(3)).Select(_ => AnyBar())])
            {
                Sriov = _random.Next(2) == 0 ? new SriovDemand((ushort)Number()) { Stride = (ushort)_random.Next(3), FirstOffset = (ushort)Number() } : null,
                Bridge = depth > 4 || _random.Next(2) == 0 ? null : new BridgeDemand([.. Enumerable.Range(0, _random.Next(3)).Select(_ => Function(depth + 1))])
                {
                    SecondaryBus = Rarely() ? (byte)_random.Next(256) : null,
                    SubordinateBus = Rarely() ? (byte)_random.Next(256) : null,
                    IoWindow = Rarely() ? Range() : null,
                    MemoryWindow = Rarely() ? Range() : null,
                    PrefetchableWindow = Rarely() ? Range() : null,
                    Reserve = Rarely() ? new HotplugReserve { Buses = _random.Next(-1, 300), Io = Number(), Memory = Number(), Prefetchable = Number() } : null,
                },
            };

        private BarDemand AnyBar() =>
            new(_random.Next(Rarely() ? -2 : 0, 14), (BarKind)_random.Next(Rarely() ? 8 : 6), _random.Next(3) == 0 ? Number() : 4096, Rarely()
                ? new GuestAddress(Number()) : null)
            {
                ResizableSizes = Rarely() ? [4096, Number()] : [],
                LargestThatFits = _random.Next(2) == 0,
            };

        private bool Rarely() => _random.Next(8) == 0;

        private ulong Number() => Numbers[_random.Next(Numbers.Length)] + (Rarely() ? 4096UL : 0);

        private AddressRange Range()
        {
            ulong start = Number();
            ulong size = Number();
            return AddressRange.Fits(new GuestAddress(start), size) ? Build.Range(start, size) : Build.Range(start, 1);
        }
    }
}
