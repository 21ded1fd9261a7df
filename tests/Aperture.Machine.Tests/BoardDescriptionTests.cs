using Aperture.Machine.Boot;
using Aperture.Machine.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Registers;
using Aperture.Placement.Platforms;
using Aperture.TestKit.Parts.Boards;
using FsCheck.Fluent;

namespace Aperture.Machine.Tests;

/// <summary>What the guest is told of a board that firmware has programmed.</summary>
public sealed class BoardDescriptionTests
{
    private const ulong GiB = 1UL << 30;
    private const ulong Limit = 1UL << BoardHarness.AddressBits;

    [Fact]
    public void A_BAR_that_lost_its_place_to_a_pin_finds_room_above_4_GiB()
    {
        // As OVMF leaves it: the small BAR is pinned at the base of its window, the large one had its place there and decodes nowhere.
        using TestBoard board = TestBoard.Raw(
            "--memory 1G", "--device test,id=a,addr=04.0,bar0=mem64p:256M:ram,bars=bar0@0x800000000", "--device test,id=b,addr=05.0,bar0=mem64p:4G:ram");
        board.SetCommand("a", PciCommand.MemorySpace);
        board.SetBar("b", 0, 0x8_0000_0000);
        board.SetCommand("b", PciCommand.MemorySpace);
        Assert.Null(board.Board.Decode.Find(board.Function("b").FindBar(0)!));
        IReadOnlyList<AddressRange> windows = Windows(board);
        Assert.Contains(windows, w => w.Contains(new AddressRange(new GuestAddress(0x8_0000_0000), 256 << 20)));
        Assert.Contains(windows, w => Enumerable.Range(0, 64).Select(i => new AddressRange(new GuestAddress((ulong)i << 32), 1UL << 32))
            .Any(place => w.Contains(place) && !place.Contains(new GuestAddress(0x8_0000_0000))));
    }

    [Fact]
    public void The_64_bit_windows_hold_what_decodes_and_what_was_planned_and_nothing_that_wins_over_BARs() => Prop.ForAll(
        Gen.Choose(1, 12).SelectMany(ram => Gen.Choose(0, 3).Four().SelectMany(free =>
            Gen.Choose(1, 0x3FFF).Three().Select(at => (ram, free, at)))).ToArbitrary(),
        drawn => Check(drawn.ram, [drawn.at.Item1, drawn.at.Item2, drawn.at.Item3], drawn.free.Item1 > 0)).Holds(60);

    private static void Check(int ramGiB, int[] places, bool decodes)
    {
        using TestBoard board = TestBoard.Raw(
            $"--memory {ramGiB}G", "--device test,id=a,addr=04.0,bar0=mem64p:1G:ram", "--device test,id=b,addr=05.0,bar0=mem64p:256M:ram",
            "--root-port id=rp,addr=06.0", "--device test,id=c,port=rp,bar0=mem64p:64M:ram");
        string[] names = ["a", "b"];
        foreach ((string name, int place) in names.Zip(places))
        {
            board.SetBar(name, 0, (ulong)place * 4 * GiB);
            board.SetCommand(name, decodes ? PciCommand.MemorySpace : PciCommand.None);
        }

        IReadOnlyList<AddressRange> windows = Windows(board);

        // By whole pages of a GiB and their neighbours, each asked for by itself.
        ulong ramEnd = board.Board.Ram.Max(r => r.Last.Value) + 1;
        AddressRange[] kept = [.. PlatformLimits.Q35Reserved.Select(r => r.Range), .. board.Board.Ram];
        IEnumerable<ulong> addresses = windows.SelectMany(w => new[] { w.Start.Value, w.Last.Value, w.Start.Value - 1, w.Last.Value + 1 })
            .Concat(kept.SelectMany(k => new[] { k.Start.Value, k.Last.Value, k.Last.Value + 1 }))
            .Concat(board.Map.HostBridges[0].Mmio64Windows.SelectMany(w => new[] { w.Start.Value, w.Last.Value, w.Start.Value + (w.Size / 2) }))
            .Concat(names.SelectMany(n => new[] { board.BarAt(n, 0), board.BarAt(n, 0) + GiB - 1, board.BarAt(n, 0) + (2 * GiB) }))
            .Concat([Limit - 1, Limit, ramEnd - 1, ramEnd, 4 * GiB]);
        DecodedBar[] high = [.. board.Board.Decode.Memory.Where(b => b.Range.Start.Value >= 4 * GiB)];
        foreach (ulong address in addresses)
        {
            GuestAddress at = new(address);
            bool told = windows.Count(w => w.Contains(at)) == 1;
            bool planned = board.Map.HostBridges[0].Mmio64Windows.Any(w => w.Contains(at));
            bool between = high.Length > 0 && address / GiB >= high.Min(b => b.Range.Start.Value) / GiB
                && address / GiB <= high.Max(b => b.Range.Last.Value) / GiB;
            bool free = address >= 4 * GiB && address >= ramEnd && address < Limit && !kept.Any(k => k.Contains(at));
            Assert.True(told == (free && (planned || between)), $"{at}: told {told}, free {free}, planned {planned}, between BARs {between}");
        }

        Assert.All(windows.Zip(windows.Skip(1)), pair => Assert.True(pair.First.Last.Value + 1 < pair.Second.Start.Value));
    }

    private static IReadOnlyList<AddressRange> Windows(TestBoard board) =>
        BoardDescription.UnderFirmware(board.Config, board.Pc, board.Map, takesPlan: false).HostBridge.Memory64;
}
