using Aperture.Board.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Registers;
using Aperture.Placement.Map;

namespace Aperture.Board.Tests;

/// <summary>BARs as the guest moves them: what answers, and what is a memory slot.</summary>
public class BarTests
{
    private const PciCommand On = PciCommand.MemorySpace | PciCommand.IoSpace;
    private const string A = "--device test,id=a,addr=04.0,bar0=mem32:4K:trap,bar1=mem32:64K:ram,bar2=mem64p:1M:ram,bar4=io:64,rom=64K";
    private const string B = "--device test,id=b,addr=05.0,bar0=mem32:4K:trap,bar1=mem32:64K:ram,bar2=mem64p:1M:ram,bar4=io:64";

    [Fact]
    public void After_a_reset_no_BAR_is_assigned_and_none_decodes()
    {
        using TestBoard board = TestBoard.Raw(A, B);
        Assert.All(board.Board.Pci.Functions.SelectMany(f => f.Bars), bar => Assert.Equal(0UL, bar.Programmed.Value));
        Assert.Empty(board.Board.Decode.Memory);
        board.SetCommand("a", On);
        Assert.Empty(board.Board.Decode.Memory);
    }

    [Fact]
    public void An_IO_BAR_that_no_ports_were_left_for_is_not_decoded()
    {
        using TestBoard board = TestBoard.Direct([.. Enumerable.Range(1, 20).SelectMany(index => new[]
        {
            $"--root-port id=rp{index}",
            $"--device test,id=d{index},port=rp{index},bar0=mem32:4K:trap,bar4=io:64",
        })]);
        Assert.Equal(On, board.Function("d15").Command & On);
        Assert.Equal(PciCommand.MemorySpace, board.Function("d16").Command & On);
        Assert.Equal(0UL, board.BarAt("d16", 4));
        Assert.NotEqual(0UL, board.BarAt("d16", 0));
    }

    [Fact]
    public void A_programmed_BAR_answers_where_it_was_put_and_RAM_behind_one_is_a_slot()
    {
        using TestBoard board = TestBoard.Raw(A);
        board.SetBar("a", 0, 0xE000_0000);
        board.SetBar("a", 1, 0xE001_0000);
        board.SetBar("a", 2, 0x6B80_0000_0000 >> 4);
        board.SetBar("a", 4, 0xC000);
        board.SetCommand("a", On);
        Assert.Equal(0x5254_5041u, board.Load(0xE000_0000));
        Assert.Equal("a.bar1", board.Host.At(0xE001_0000)!.Value.Region.Name);
        Assert.Equal("a.bar2", board.Host.At(0x6B8_0000_0000)!.Value.Region.Name);
        Assert.Null(board.Host.At(0xE000_0000));
        Assert.NotEqual(uint.MaxValue, board.Cpu.PortRead(0xC000, 4));
        board.SetCommand("a", PciCommand.None);
        Assert.Null(board.Answers(0xE000_0000));
        Assert.Null(board.Host.At(0xE001_0000));
        Assert.Equal(uint.MaxValue, board.Cpu.PortRead(0xC000, 4));
    }

    [Fact]
    public void Direct_boot_programs_what_placement_says_and_turns_decoding_on()
    {
        using TestBoard board = TestBoard.Direct("--root-port id=rp", "--switch id=sw,port=rp,downstream=2", A,
            "--device test,id=c,port=sw.1,bar0=mem32:1M:trap,bar2=mem64p:64G:ram,bars=bar2@0x100000000000");
        foreach (FunctionPlacement placed in board.Map.Functions)
        {
            Assert.Equal(placed.Address, board.Function(placed.Name).Bdf);
            foreach (BarPlacement bar in placed.Bars.Where(b => b.Demand.Kind != BarKind.Rom))
            {
                Assert.Equal(bar.Address.Value, board.BarAt(placed.Name, bar.Demand.Index));
                Assert.Equal(bar.Range, board.Board.Decode.Find(board.Function(placed.Name).FindBar(bar.Demand.Index)!));
            }
        }

        Assert.Equal(64UL << 30, board.Host.At(0x1000_0000_0000)!.Value.Range.Size);
        Assert.Equal(0x5254_5041u, board.Load(board.BarAt("c", 0)));
    }

    [Fact]
    public void BARs_swapped_with_decoding_off_change_places_and_keep_their_bytes()
    {
        using TestBoard board = TestBoard.Direct(A, B);
        ulong a = board.BarAt("a", 2);
        ulong b = board.BarAt("b", 2);
        board.Store(a, 0xAAAA_AAAA);
        board.Store(b, 0xBBBB_BBBB);
        board.SetCommand("a", PciCommand.None);
        board.SetCommand("b", PciCommand.None);
        board.SetBar("a", 2, b);
        board.SetBar("b", 2, a);
        board.SetCommand("a", On);
        board.SetCommand("b", On);
        Assert.Equal("a.bar2", board.Answers(b));
        Assert.Equal(0xAAAA_AAAAu, board.Load(b));
        Assert.Equal(0xBBBB_BBBBu, board.Load(a));
        Assert.Equal("b.bar2", board.Host.At(a)!.Value.Region.Name);
    }

    [Fact]
    public void BARs_swapped_while_only_one_of_them_decodes_come_out_right_in_the_end()
    {
        using TestBoard board = TestBoard.Direct(A, B);
        ulong a = board.BarAt("a", 1);
        ulong b = board.BarAt("b", 1);
        board.SetBar("a", 1, b);

        // Who was there first stays.
        Assert.Equal("b.bar1", board.Answers(b));
        board.SetBar("b", 1, a);
        Assert.Equal("a.bar1", board.Answers(b));
        Assert.Equal("b.bar1", board.Answers(a));
    }

    [Fact]
    public void A_BAR_half_written_with_decoding_on_disturbs_nobody_else()
    {
        using TestBoard board = TestBoard.Direct(A, B);
        ulong home = board.BarAt("a", 2);
        board.Store(home, 0x1234_5678);
        foreach (uint half in new uint[] { uint.MaxValue, 0, 0x0000_1000, 0x8000_0000 })
        {
            board.Write("a", 0x1C, half);
            board.Write("a", 0x18, half);
            Assert.Equal(0x5254_5041u, board.Load(board.BarAt("b", 0)));
            Assert.NotNull(board.Host.At(0x10_0000));
            Assert.Null(board.Slots.Verify());
        }

        board.SetBar("a", 2, home);
        Assert.Equal(0x1234_5678u, board.Load(home));
    }

    [Fact]
    public void A_window_closed_over_live_BARs_takes_them_away_and_opened_again_gives_them_back()
    {
        using TestBoard board = TestBoard.Direct("--root-port id=rp", "--device test,id=c,port=rp,bar0=mem32:1M:ram,bar2=mem64p:1M:ram");
        ulong bar = board.BarAt("c", 0);
        board.Store(bar, 77);
        uint window = board.Read("rp", 0x20);
        board.Write("rp", 0x20, 0x0000_FFF0);
        Assert.Null(board.Host.At(bar));
        Assert.Equal("c.bar2", board.Answers(board.BarAt("c", 2)));
        board.Write("rp", 0x20, window);
        Assert.Equal(77u, board.Load(bar));
        board.Write("rp", 4, 0, 2);
        Assert.Null(board.Answers(bar));
        Assert.Null(board.Answers(board.BarAt("c", 2)));
    }

    [Fact]
    public void A_secondary_bus_reset_unassigns_what_is_below()
    {
        using TestBoard board = TestBoard.Direct("--root-port id=rp", "--device test,id=c,port=rp,bar0=mem32:4K:trap");
        ulong bar = board.BarAt("c", 0);
        board.Store(bar + 0x10, 5);
        board.Write("rp", 0x3E, 0x40, 2);
        Assert.Null(board.Answers(bar));
        board.Write("rp", 0x3E, 0, 2);
        Assert.Equal(0UL, board.BarAt("c", 0));
        board.SetBar("c", 0, bar);
        board.SetCommand("c", On);
        Assert.Equal(0UL, board.Load(bar + 0x10));
    }

    [Fact]
    public void A_function_in_D3hot_decodes_nothing_until_it_is_back_in_D0()
    {
        using TestBoard board = TestBoard.Direct(A);
        int power = board.Function("a").Find<PowerManagementCapability>()!.Offset + 4;
        ulong bar = board.BarAt("a", 0);
        board.Write("a", power, 3, 2);
        Assert.Null(board.Answers(bar));
        board.Write("a", power, 0, 2);
        Assert.Equal("a.bar0", board.Answers(bar));
    }

    [Fact]
    public void The_ROM_answers_only_while_its_own_enable_bit_is_set()
    {
        using TestBoard board = TestBoard.Direct(A);
        ulong rom = board.BarAt("a", BarKinds.RomIndex);
        Assert.Null(board.Answers(rom));
        board.Write("a", 0x30, (uint)rom | 1);
        Assert.Equal(0xAA55u, board.Load(rom, 2));
    }

    [Fact]
    public void A_pinned_BAR_can_be_sized_and_not_moved()
    {
        using TestBoard board = TestBoard.Direct("--device test,id=p,addr=04.0,bar0=mem32:1M:trap,bar2=mem64p:4G:ram,bars=bar0@0xe0000000,bar2@0x100000000000");
        board.Write("p", 0x10, uint.MaxValue);
        Assert.Equal(0xFFF0_0000u, board.Read("p", 0x10));
        board.Write("p", 0x10, 0xD000_0000);
        Assert.Equal(0xE000_0000u, board.Read("p", 0x10));
        Assert.Equal("p.bar0", board.Answers(0xE000_0000));
        Assert.Null(board.Answers(0xD000_0000));
        board.Write("p", 0x18, uint.MaxValue);
        board.Write("p", 0x1C, uint.MaxValue);
        Assert.Equal(0x0000_000Cu, board.Read("p", 0x18));
        Assert.Equal(0xFFFF_FFFFu, board.Read("p", 0x1C));
        board.SetBar("p", 2, 0x2000_0000_0000);
        Assert.Equal(0x1000_0000_0000UL, board.BarAt("p", 2));
        Assert.NotNull(board.Host.At(0x1000_0000_0000));
        Assert.True(board.Function("p").FindBar(0)!.MoveAttempts > 0);
    }

    [Fact]
    public void A_reset_returns_BARs_to_0_except_pinned_ones_and_undecodes_all()
    {
        using TestBoard board = TestBoard.Direct(A, "--device test,id=p,addr=06.0,bar0=mem32:1M:ram,bar1=mem32:4K:trap,bars=bar0@0xe0000000");
        Assert.NotNull(board.Host.At(0xE000_0000));
        board.Board.Reset();
        Assert.Equal(0xE000_0000UL, board.BarAt("p", 0));
        Assert.Equal(0UL, board.BarAt("p", 1));
        Assert.All(board.Function("a").Bars, bar => Assert.Equal(0UL, bar.Programmed.Value));
        Assert.Empty(board.Board.Decode.Memory);
        Assert.Empty(board.Board.Decode.Io);
        Assert.Null(board.Host.At(0xE000_0000));
        Assert.Null(board.Answers(0xB000_0000));
        Assert.Null(board.Slots.Verify());
        PciProgrammer.Program(board.Board, board.Map);
        Assert.NotNull(board.Host.At(0xE000_0000));
    }

    [Fact]
    public void RAM_and_ECAM_win_over_a_BAR_that_the_guest_puts_on_them()
    {
        using TestBoard board = TestBoard.Raw("--memory 64M", A);
        board.Write("mch", 0x60, 0xB000_0001);
        board.SetCommand("a", On);
        foreach (ulong place in new ulong[] { 0x10_0000, 0xB000_0000, 0xFEE0_0000, 0xFFFF_0000 })
        {
            board.SetBar("a", 1, place);
            Assert.NotEqual("a.bar1", board.Answers(place));
            Assert.Null(board.Slots.Verify());
        }

        Assert.Equal("ram-low", board.Host.At(0x10_0000)!.Value.Region.Name);
    }

    [Fact]
    public void An_IO_BAR_on_the_boards_ports_does_not_take_them()
    {
        using TestBoard board = TestBoard.Raw(A, "--device debug-exit,port=0x2000");
        board.SetBar("a", 4, 0x3C0);
        board.SetCommand("a", On);
        Assert.Equal(0x60u, board.Cpu.PortRead(0x3FD, 1) & 0x60);
        board.SetBar("a", 4, 0x2000);
        board.Cpu.PortWrite(0x2000, 1, 1);
        Assert.Single(board.Requests);
    }
}
