using Aperture.Board.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board.Tests;

/// <summary>What the i440fx board's registers do, and what both boards do with their interrupt routes and ACPI ports.</summary>
public class I440fxTests
{
    private const string Board = "--machine i440fx";
    private const string Device = "--device test,id=a,addr=04.0,bar0=mem32:4K:trap";

    [Fact]
    public void The_chipset_has_its_three_functions_and_no_other_answers_on_bus_0()
    {
        using TestBoard board = TestBoard.Raw(Board);
        Assert.Equal(0x1237_8086u, board.Read(new Bdf(0x0000), 0));
        Assert.Equal(0x7000_8086u, board.Read(new Bdf(0x0008), 0));
        Assert.Equal(0x7113_8086u, board.Read(new Bdf(0x000B), 0));
        for (int place = 0; place < 256; place++)
        {
            Assert.Equal(place is 0 or 8 or 0xB, board.Read(new Bdf((ushort)place), 0) != uint.MaxValue);
        }

        Assert.Equal(0x80u, board.Read(new Bdf(0x0008), 0x0E, 1));
    }

    [Fact]
    public void A_direct_boot_places_no_ECAM_and_a_device_decodes_where_the_plan_says()
    {
        using TestBoard board = TestBoard.Direct(Board, Device);
        Assert.Null(board.Map.Ecam);
        Assert.Null(board.Answers(0xB000_0000));
        ulong planned = board.Map.HostBridges[0].Functions.Single(f => f.Name == "a").Bars[0].Address.Value;
        Assert.Equal("a.bar0", board.Answers(planned));
    }

    [Theory]
    [InlineData(0x59, 0x10, 0xF_0000UL)]
    [InlineData(0x5A, 0x01, 0xC_0000UL)]
    [InlineData(0x5A, 0x10, 0xC_4000UL)]
    [InlineData(0x5C, 0x01, 0xD_0000UL)]
    [InlineData(0x5F, 0x10, 0xE_C000UL)]
    public void Each_half_of_a_PAM_register_routes_its_own_piece(int register, uint value, ulong piece)
    {
        using TestBoard board = TestBoard.Raw(Board, "--memory 16M");
        board.Write("pmc", register, value, 1);
        foreach (ulong at in Enumerable.Range(0, 16).Select(i => 0xC_0000UL + (0x4000UL * (ulong)i)))
        {
            bool isRam = board.Host.At(at) is { } slot && slot.Region.Ram == board.Ram.Block;
            Assert.Equal(at == piece || (piece == 0xF_0000 && at > piece), isRam);
        }
    }

    [Fact]
    public void PAM_written_as_dwords_across_its_seven_registers_routes_all_pieces()
    {
        using TestBoard board = TestBoard.Raw(Board, "--memory 16M");
        board.Write("pmc", 0x58, 0x3333_3000);
        board.Write("pmc", 0x5C, 0x3333_3333);
        Assert.All(Enumerable.Range(0, 16), i => Assert.Equal(board.Ram.Block, board.Host.At(0xC_0000UL + (0x4000UL * (ulong)i))!.Value.Region.Ram));
    }

    [Fact]
    public void SMRAM_once_locked_is_closed_and_read_only_until_a_reset()
    {
        using TestBoard board = TestBoard.Raw(Board);
        board.Write("pmc", 0x72, 0x58, 1);
        Assert.Equal(0x1Au, board.Read("pmc", 0x72, 1));
        board.Write("pmc", 0x70, 0xFFFF_FFFF);
        Assert.Equal(0x1Au, board.Read("pmc", 0x72, 1));
        board.Board.Reset();
        Assert.Equal(0x02u, board.Read("pmc", 0x72, 1));
    }

    [Theory]
    [InlineData(2, 17u)]
    [InlineData(4, 19u)]
    [InlineData(5, 16u)]
    public void INTA_of_root_device_d_arrives_at_16_plus_d_minus_1_modulo_4(int device, uint gsi)
    {
        using TestBoard board = TestBoard.Direct(Board, $"--device test,id=a,addr={device:x2}.0,bar0=mem32:4K:trap");
        board.Function("a").SetIntx(true);
        Assert.Equal([gsi], board.Lines.Where(l => l.Value.Level).Select(l => l.Key));
    }

    [Theory]
    [InlineData("q35", "lpc", 0x68)]
    [InlineData("i440fx", "isa", 0x63)]
    public void A_PIRQ_that_is_routed_also_asserts_its_ISA_interrupt_and_follows_the_register(string machine, string router, int register)
    {
        using TestBoard board = TestBoard.Raw($"--machine {machine}", Device);
        board.Function("a").SetIntx(true);
        uint apic = machine == "q35" ? 20u : 19u;
        Assert.Equal([apic], Asserted(board));
        board.Write(router, register, 11, 1);
        Assert.Equal([11u, apic], Asserted(board));
        board.Write(router, register, 10, 1);
        Assert.Equal([10u, apic], Asserted(board));
        board.Function("a").SetIntx(false);
        Assert.Empty(Asserted(board));
        board.Function("a").SetIntx(true);
        board.Write(router, register, 0x8A, 1);
        Assert.Equal([apic], Asserted(board));

        // 8 is the clock's: a reserved value routes nowhere.
        board.Write(router, register, 8, 1);
        Assert.Equal([apic], Asserted(board));
    }

    [Fact]
    public void A_function_that_raises_its_interrupts_itself_is_told_where_its_PIRQ_reaches_the_8259s_until_it_leaves()
    {
        using TestBoard board = TestBoard.Raw(Board, Device);
        List<uint?> told = [];
        board.Write("isa", 0x60, 0x0B0B_0B0B);
        PciFunction function = new("raiser", new PciIdentity(0x1234, 0x11E8, 0xFF_0000), ConfigSpace.ConventionalSize);
        function.SetInterruptPin(1);
        board.Board.Plug(board.Board.Pci.Root, new DeviceNode("raiser", 0x38, _ => new MadeFunction(function) { RoutedToIsa = told.Add }));
        Assert.Equal([11u], told);
        board.Write("isa", 0x60, 0x0A0A_0A0A);
        board.Write("isa", 0x60, 0x0A0A_0A0A);
        board.Write("isa", 0x60, 0x8080_8080);
        Assert.Equal([11u, 10u, null], told);
        board.Board.Unplug(function);
        board.Write("isa", 0x60, 0x0B0B_0B0B);
        Assert.Equal(3, told.Count);
    }

    [Fact]
    public void Two_PIRQs_at_one_ISA_interrupt_hold_it_until_the_last_lets_go()
    {
        using TestBoard board = TestBoard.Raw(Board, Device, "--device test,id=b,addr=05.0,bar0=mem32:4K:trap");
        board.Write("isa", 0x60, 0x0B0B_0B0B);
        board.Function("a").SetIntx(true);
        board.Function("b").SetIntx(true);
        board.Function("a").SetIntx(false);
        Assert.Contains(11u, Asserted(board));
        board.Function("b").SetIntx(false);
        Assert.Empty(Asserted(board));
    }

    [Theory]
    [InlineData("q35", "lpc", 0x44, 0x80u)]
    [InlineData("i440fx", "pm", 0x80, 0x01u)]
    public void The_ACPI_block_decodes_where_and_while_its_registers_say(string machine, string function, int enable, uint bit)
    {
        using TestBoard board = TestBoard.Raw($"--machine {machine}");
        Assert.Equal(0xFFFFu, board.Cpu.PortRead(0x604, 2) & 0xFFFF);
        board.Write(function, 0x40, 0x0601);
        Assert.Equal(0xFFFFu, board.Cpu.PortRead(0x604, 2) & 0xFFFF);
        board.Write(function, enable, bit, 1);
        Assert.Equal(1u, board.Cpu.PortRead(0x604, 2) & 0xFFFF);
        board.Write(function, 0x40, 0xB001);
        Assert.Equal(0xFFFFu, board.Cpu.PortRead(0x604, 2) & 0xFFFF);
        board.Cpu.PortWrite(0xB004, 2, 1 << 13);
        Assert.Equal([(MachineRequest.PowerOff, 0)], board.Requests);
        board.Board.Reset();
        Assert.Equal(0xFFFFu, board.Cpu.PortRead(0xB004, 2) & 0xFFFF);
    }

    private static uint[] Asserted(TestBoard board) => [.. board.Lines.Where(l => l.Value.Level).Select(l => l.Key).Order()];
}
