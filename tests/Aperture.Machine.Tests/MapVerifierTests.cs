using Aperture.Board.Pc;
using Aperture.Machine.Tests.Fakes;
using Aperture.Machine.Verification;
using Aperture.Memory;

namespace Aperture.Machine.Tests;

/// <summary>The comparison by itself: a map that is as promised, and what each way of breaking it is called.</summary>
public sealed class MapVerifierTests
{
    private static readonly AddressRange Low = Range(0, 0x800_0000);
    private static readonly AddressRange Window = Range(0xE000_0000, 0x100_0000);

    private static readonly MapPromise Promise = new(
        [
            new PromisedFunction("rp0", new Bdf(0, 1, 0), [], new BridgeState(1, 1, null, Window, null)),
            new PromisedFunction("gpu", new Bdf(1, 0, 0), [new PromisedBar(0, At(0xE000_0000), true), new PromisedBar(2, At(0xE010_0000), false)], null),
        ],
        [Low],
        Range(0xB000_0000, 0x1000_0000));

    private static readonly FoundFunction Port = new("rp0", new Bdf(0, 1, 0), [], new BridgeState(1, 1, null, Window, null), null);

    private static readonly FoundFunction Gpu = new(
        "gpu",
        new Bdf(1, 0, 0),
        [
            new FoundBar(0, 0x10_0000, At(0xE000_0000), true, At(0xE000_0000), null, ["gpu.bar0"], null),
            new FoundBar(2, 0x10_0000, At(0xE010_0000), true, At(0xE010_0000), null, ["gpu.bar2"], null),
        ],
        null,
        null);

    private static readonly MapFindings AsPromised = new()
    {
        Functions = [Port, Gpu],
        Ecam = Range(0xB000_0000, 0x1000_0000),
        View =
        [
            new FoundRange(Range(0, 0xA_0000), "ram-low", true),
            new FoundRange(Range(0xC_0000, 0x4000), "pam-c0000", true, true),
            new FoundRange(Range(0x10_0000, 0x7F0_0000), "ram-low", true),
            new FoundRange(Range(0xB000_0000, 0x1000_0000), "ecam", false),
            new FoundRange(Range(0xE000_0000, 0x10_0000), "gpu.bar0", true),
            new FoundRange(Range(0xE010_0000, 0x10_0000), "gpu.bar2", false),
        ],
        Slots =
        [
            new FoundRange(Range(0, 0xA_0000), "ram-low", true),
            new FoundRange(Range(0xC_0000, 0x4000), "pam-c0000", true, true),
            new FoundRange(Range(0x10_0000, 0x7F0_0000), "ram-low", true),
            new FoundRange(Range(0xE000_0000, 0x10_0000), "gpu.bar0", true),
        ],
        Trapped = [],
    };

    [Fact]
    public void A_map_that_is_as_promised_has_no_difference() => Assert.Empty(MapVerifier.Compare(Promise, AsPromised));

    [Fact]
    public void A_BAR_elsewhere_says_what_was_promised_what_is_there_and_who_moved_it()
    {
        MapFindings found = WithBar(
            b => b with
            {
                Address = At(0xE080_0000),
                DecodedAt = null,
                IsEnabled = false,
                LastWrite = "the guest wrote 0xe0800000 to register 0x10 at 1.000 s"
            });
        MapDifference difference = Assert.Single(MapVerifier.Compare(Promise, found));
        Assert.Equal(DifferenceKind.BarAddress, difference.Kind);
        Assert.Equal("gpu bar0: promised 0xe0000000, where it is pinned, found 0xe0800000 (the guest wrote 0xe0800000 to register 0x10 at 1.000 s).",
            difference.Sentence);
    }

    [Fact]
    public void A_BAR_that_the_guest_did_not_enable_breaks_no_promise() =>
        Assert.Empty(MapVerifier.Compare(Promise, WithBar(b => b with { DecodedAt = null, IsEnabled = false })));

    [Fact]
    public void An_enabled_BAR_that_is_refused_says_why()
    {
        MapDifference difference =
            Assert.Single(MapVerifier.Compare(Promise, WithBar(b => b with { DecodedAt = null, Refusal = "that rp0 does not forward it" })));
        Assert.Equal((DifferenceKind.BarDecode, "that rp0 does not forward it"), (difference.Kind, difference.Found));
    }

    [Fact]
    public void A_BAR_that_another_region_hides_is_told_with_the_part_that_is_hidden()
    {
        MapFindings found = AsPromised with
        {
            View =
            [
                .. AsPromised.View.Take(5),
                new FoundRange(Range(0xE010_0000, 0x8_0000), "gpu.bar2", false),
                new FoundRange(Range(0xE018_0000, 0x4_0000), "hpet", false),
            ],
        };
        Assert.Equal(
            ["gpu bar2: promised to answer at 0xe0180000-0xe01bffff, found hpet.", "gpu bar2: promised to answer at 0xe01c0000-0xe01fffff, found nothing."],
            MapVerifier.Compare(Promise, found).Select(d => d.Sentence));
    }

    [Fact]
    public void RAM_that_only_system_management_mode_sees_is_not_missed_and_other_RAM_is()
    {
        MapFindings found = AsPromised with
        {
            View = [.. AsPromised.View.Select(r => r.Range.Start == At(0x10_0000) ? r with { Range = Range(0x10_0000, 0x6F0_0000) } : r)],
            Slots = null,
            HiddenRam = Range(0x700_0000, 0x100_0000),
        };
        Assert.Empty(MapVerifier.Compare(Promise, found));
        MapDifference difference = Assert.Single(MapVerifier.Compare(Promise, found with { HiddenRam = Range(0x740_0000, 0xC0_0000) }));
        Assert.Equal((DifferenceKind.Ram, "nothing"), (difference.Kind, difference.Found));
    }

    [Fact]
    public void A_function_that_is_gone_or_elsewhere_is_told()
    {
        Assert.Equal("gpu: promised at 01:00.0, found nothing.",
            Assert.Single(MapVerifier.Compare(Promise, AsPromised with { Functions = [Port] }), d => d.Kind == DifferenceKind.Function).Sentence);
        MapFindings moved = AsPromised with { Functions = [Port, Gpu with { Place = new Bdf(2, 0, 0) }] };
        Assert.Equal("at 02:00.0", Assert.Single(MapVerifier.Compare(Promise, moved)).Found);
    }

    [Fact]
    public void A_window_that_was_planned_must_stay_and_one_that_was_closed_may_open()
    {
        MapFindings opened = AsPromised with
        {
            Functions = [Port with { Bridge = Port.Bridge! with { Io = Range(0x1000, 0x1000), Prefetchable = Range(0x4_0000_0000, 0x10_0000) } }, Gpu],
        };
        Assert.Empty(MapVerifier.Compare(Promise, opened));
        MapFindings closed = AsPromised with { Functions = [Port with { Bridge = Port.Bridge! with { Memory = null } }, Gpu] };
        Assert.Equal("rp0 memory window: promised 0xe0000000-0xe0ffffff, found closed.", Assert.Single(MapVerifier.Compare(Promise, closed)).Sentence);
        MapFindings numbered = AsPromised with { Functions = [Port with { Bridge = Port.Bridge! with { Subordinate = 4 } }, Gpu] };
        Assert.Equal(("01-01", "01-04"), MapVerifier.Compare(Promise, numbered).Select(d => (d.Promised, d.Found)).Single());
    }

    [Fact]
    public void An_ECAM_window_elsewhere_is_told() =>
        Assert.Equal((DifferenceKind.Ecam, "off"), MapVerifier.Compare(Promise, AsPromised with { Ecam = null }).Select(d => (d.Kind, d.Found)).Single());

    [Fact]
    public void RAM_that_something_hides_is_told()
    {
        FoundRange[] view = [.. AsPromised.View.Take(2), new(Range(0x10_0000, 0x10_0000), "gpu.bar2", false),
            new(Range(0x20_0000, 0x7E0_0000), "ram-low", true), .. AsPromised.View.Skip(3)];
        IReadOnlyList<MapDifference> differences = MapVerifier.Compare(Promise, AsPromised with { View = view });
        Assert.Contains(differences, d => d.Kind == DifferenceKind.Ram && d.Found == "gpu.bar2" && d.Promised == "at 0x100000-0x1fffff");
        Assert.Contains(differences, d => d.Kind == DifferenceKind.Slot);
    }

    [Fact]
    public void A_slot_that_is_missing_stale_or_refused_is_told()
    {
        MapFindings missing = AsPromised with { Slots = [.. AsPromised.Slots!.Take(3)] };
        Assert.Equal("gpu.bar0 at 0xe0000000-0xe00fffff: promised a memory slot, found none.", Assert.Single(MapVerifier.Compare(Promise, missing)).Sentence);
        MapFindings stale = AsPromised with { Slots = [.. AsPromised.Slots!, new FoundRange(Range(0xF000_0000, 0x1000), "gpu.bar4", true)] };
        Assert.Equal("a slot of gpu.bar4", Assert.Single(MapVerifier.Compare(Promise, stale)).Found);
        MapFindings refused = missing with { Trapped = [new FoundTrapped(Range(0xE000_0000, 0x10_0000), "gpu.bar0", "no memory slot is free")] };
        Assert.Equal(("every access exits", "no memory slot is free"), MapVerifier.Compare(Promise, refused).Select(d => (d.Found, d.MovedBy!)).Single());
    }

    [Fact]
    public void The_IOMMU_must_map_all_memory_and_nothing_else_and_a_refusal_gives_its_reason()
    {
        IommuMapping[] all =
        [
            new(Range(0, 0xA_0000), "ram-low", true, null),
            new(Range(0x10_0000, 0x7F0_0000), "ram-low", true, null),
            new(Range(0xE000_0000, 0x10_0000), "gpu.bar0", true, null),
        ];
        Assert.Empty(MapVerifier.Compare(Promise, AsPromised with { Iommu = all }));
        Assert.Equal("not mapped", Assert.Single(MapVerifier.Compare(Promise, AsPromised with { Iommu = all[..2] })).Found);
        IommuMapping[] stale = [.. all, new IommuMapping(Range(0xF000_0000, 0x1000), "gpu.bar4", true, null)];
        Assert.Equal("a mapping of gpu.bar4", Assert.Single(MapVerifier.Compare(Promise, AsPromised with { Iommu = stale })).Found);
        IommuMapping[] refused = [.. all[..2], all[2] with { IsMapped = false, Reason = "EINVAL" }];
        Assert.Equal(("not mapped", "EINVAL"), MapVerifier.Compare(Promise, AsPromised with { Iommu = refused }).Select(d => (d.Found, d.MovedBy!)).Single());
        IommuMapping[] peer = [.. all[..2], all[2] with { IsMapped = false, Reason = "EFAULT", IsPeer = true }];
        Assert.Empty(MapVerifier.Compare(Promise, AsPromised with { Iommu = peer }));
    }

    [Fact]
    public void Each_server_must_reach_all_memory_by_itself()
    {
        IommuMapping[] all =
        [
            new(Range(0, 0xA_0000), "ram-low", true, null),
            new(Range(0x10_0000, 0x7F0_0000), "ram-low", true, null),
            new(Range(0xE000_0000, 0x10_0000), "gpu.bar0", false, "a server gets no memory of other devices", true),
        ];
        Assert.Empty(MapVerifier.Compare(Promise, AsPromised with { Servers = [new("a", all), new("b", all)] }));
        MapDifference lacks = Assert.Single(MapVerifier.Compare(Promise, AsPromised with { Servers = [new("a", all), new("b", [all[0], all[2]])] }));
        Assert.Equal((DifferenceKind.Iommu, "to be reached by the server of b", "not mapped"), (lacks.Kind, lacks.Promised, lacks.Found));
        IommuMapping stale = new(Range(0xF000_0000, 0x1000), "gpu.bar4", true, null);
        Assert.Equal("a mapping of gpu.bar4", Assert.Single(MapVerifier.Compare(Promise, AsPromised with { Servers = [new("a", [.. all, stale])] })).Found);
    }

    [Fact]
    public void A_board_as_direct_boot_leaves_it_is_as_promised_and_a_moved_BAR_is_found_with_its_writer()
    {
        using TestBoard board = TestBoard.Direct(
            "--root-port id=rp0", "--switch id=sw,port=rp0,downstream=2",
            "--device test,id=a,port=sw.0,bar0=mem32:1M:ram,bar2=mem64p:64M:ram,bar4=io:256,rom=64K", "--device test,id=b,bar0=mem32:64K:trap");
        WriteHistory history = new(TimeProvider.System, board.Events);
        board.Board.AddWatcher(history);
        MapCollector collector = new(board.Board, board.Slots, history, null);
        MapPromise promise = MapPromise.Of(board.Map, isDirect: true);
        Assert.Empty(MapVerifier.Compare(promise, collector.Collect()));
        ulong free = board.BarAt("b", 0) + 0x10_0000;
        board.SetBar("b", 0, free);
        MapDifference moved = Assert.Single(MapVerifier.Compare(promise, collector.Collect()));
        Assert.Equal(("b bar0", $"0x{free:x}"), (moved.Subject, moved.Found));
        Assert.StartsWith($"the guest wrote 0x{free:x} to register 0x10", moved.MovedBy, StringComparison.Ordinal);
    }

    [Fact]
    public void Under_firmware_only_pins_and_RAM_are_promised()
    {
        using TestBoard board = TestBoard.Raw("--root-port id=rp0", "--device test,id=a,port=rp0,bar0=mem32:1M:ram,bar2=mem64p:64M:ram,bars=bar2@0x400000000");
        WriteHistory history = new(TimeProvider.System, board.Events);
        MapPromise promise = MapPromise.Of(board.Map, isDirect: false);
        Assert.Equal([2], promise.Functions.SelectMany(f => f.Bars).Select(b => b.Index));
        Assert.Empty(MapVerifier.Compare(promise, new MapCollector(board.Board, board.Slots, history, null).Collect()));
    }

    [Fact]
    public void A_region_belongs_to_the_BAR_that_it_answers_for_whatever_devices_are_called()
    {
        using TestBoard board = TestBoard.Direct("--device test,id=x,bar0=mem32:64K:trap", "--device test,id=x.bar0,bar0=mem32:64K:ram,bar1=mem32:64K:trap");
        MapFindings found = new MapCollector(board.Board, board.Slots, new WriteHistory(TimeProvider.System, board.Events), null).Collect();
        Assert.Equal(
            ["x bar0: x.bar0", "x.bar0 bar0: x.bar0.bar0", "x.bar0 bar1: x.bar0.bar1"],
            found.Functions.SelectMany(f => f.Bars.Select(b => $"{f.Name} bar{b.Index}: {string.Join(' ', b.Owners)}")));
        Assert.Empty(MapVerifier.Compare(MapPromise.Of(board.Map, isDirect: true), found));
    }

    [Fact]
    public void A_map_that_is_collected_while_flash_changes_its_mode_has_slots_that_fit_its_view()
    {
        using TemporaryFile variables = new(new byte[0x2_0000]);
        using TestBoard board = TestBoard.WithFlash(VariableBank.Open(variables.Path, null, snapshot: true, Assert.Fail));
        MapCollector collector = new(board.Board, board.Slots, new WriteHistory(TimeProvider.System, board.Events), null);
        MapPromise promise = MapPromise.Of(board.Map, isDirect: false);
        ulong flash = GuestRam.HighBase.Value - board.Firmware!.Size - 0x2_0000;
        Assert.Equal("flash-variables", board.Answers(flash));

        // Somebody looks at the map in the middle of each change.
        bool over = false;
        List<MapDifference> differences = [];
        using SemaphoreSlim changing = new(0);
        Thread looker = new(() =>
        {
            while (changing.Wait(Timeout.Infinite) && !Volatile.Read(ref over))
            {
                differences.AddRange(MapVerifier.Compare(promise, collector.Collect()));
            }
        });
        looker.Start();
        board.Host.Inside = () =>
        {
            changing.Release();
            Thread.Yield();
        };
        for (int i = 0; i < 2000; i++)
        {
            board.Store(flash, 0x70, 1);
            board.Store(flash, 0xFF, 1);
        }

        board.Host.Inside = null;
        Volatile.Write(ref over, true);
        changing.Release();
        looker.Join();
        Assert.Empty(differences);
    }

    private static MapFindings WithBar(Func<FoundBar, FoundBar> change) =>
        AsPromised with { Functions = [Port, Gpu with { Bars = [change(Gpu.Bars[0]), Gpu.Bars[1]] }] };

    private static GuestAddress At(ulong address) => new(address);

    private static AddressRange Range(ulong start, ulong size) => new(At(start), size);
}
