using System.Text.Json;
using Aperture.Board.Tests.Fakes;
using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.Placement.Map;
using Aperture.Placement.Request;

namespace Aperture.Board.Tests;

/// <summary>Pins under firmware: who has the machine decides where a pinned BAR is.</summary>
public sealed class HandoverTests
{
    private const PciCommand On = PciCommand.MemorySpace | PciCommand.IoSpace | PciCommand.BusMaster;
    private const string Port = "--root-port id=rp,addr=02.0";
    private const string A = "--device test,id=a,addr=04.0,bar0=mem32:1M:trap,bar2=mem64p:256M:ram,bar4=io:256,bars=bar0@0xe8000000,bar2@0x3b8000000000";
    private const string B = "--device test,id=b,port=rp,bar0=mem32:64K:trap,bars=bar0@0xd8000000";
    private const string Free = "--device test,id=f,addr=05.0,bar0=mem32:1M:trap,bar1=mem32:4K:trap";

    private readonly RecordedEvents _log = new();

    [Fact]
    public void While_firmware_has_the_machine_a_pinned_BAR_reads_and_decodes_as_firmware_wrote_it()
    {
        using TestBoard board = Machine(A);
        Assert.Equal(0u, board.BarAt("a", 0));
        board.SetBar("a", 0, uint.MaxValue);
        Assert.Equal(0xFFF0_0000u, board.Read("a", 0x10));
        board.SetBar("a", 0, 0xC010_0000);
        board.SetBar("a", 2, 0xD000_0000);
        board.SetCommand("a", PciCommand.MemorySpace);
        Assert.Equal("a.bar0", board.Answers(0xC010_0000));
        Assert.Equal("a.bar2", board.Answers(0xD000_0000));
        Assert.Null(board.Answers(0xE800_0000));
        Assert.DoesNotContain(_log.Lines, l => l.Contains("move_refused", StringComparison.Ordinal));
    }

    [Fact]
    public void The_handover_puts_BARs_windows_bus_numbers_and_the_ECAM_to_the_plan_in_one_step()
    {
        using TestBoard board = Machine(Port, A, B, Free);
        ProgramAsFirmware(board);
        board.TakeOver();
        AssertPlanned(board);
        Assert.Equal("a.bar0", board.Answers(0xE800_0000));
        Assert.Equal("b.bar0", board.Answers(0xD800_0000));
        Assert.NotEqual("a.bar0", board.Answers(0xC010_0000));
        Assert.Equal(board.Map.Ecam, board.Board.Chipset.Ecam);
        Assert.Null(board.Slots.Verify());

        // From here on the policy holds.
        board.SetBar("a", 0, 0xC010_0000);
        Assert.Equal(0xE800_0000u, board.BarAt("a", 0));
        JsonElement handover = Assert.Single(Events("handover"));
        JsonElement first = handover.GetProperty("bars").EnumerateArray().First(b => b.GetProperty("function").GetString() == "a");
        Assert.Equal(("bar0", "0xc0100000", "0xe8000000", true), (Text(first, "bar"), Text(first, "firmware"), Text(first, "address"),
            first.GetProperty("pinned").GetBoolean()));
    }

    [Fact]
    public void Decoding_stays_as_it_was_and_what_moved_masters_the_bus_no_more()
    {
        using TestBoard board = Machine(Port, A, B, Free);
        ProgramAsFirmware(board);
        FunctionPlacement free = board.Map.Functions.Single(f => f.Name == "f");
        board.SetCommand("f", PciCommand.None);
        board.SetBar("f", 0, free.Bar(0)!.Address.Value);
        board.SetBar("f", 1, free.Bar(1)!.Address.Value);
        board.SetCommand("f", PciCommand.BusMaster);
        board.TakeOver();
        Assert.Equal(PciCommand.MemorySpace | PciCommand.IoSpace, board.Function("a").Command & On);
        Assert.Equal(PciCommand.BusMaster, board.Function("f").Command & On);
        Assert.Equal(On, board.Function("rp").Command & On);
    }

    [Fact]
    public void A_function_that_came_while_firmware_had_the_machine_is_left_for_the_operating_system_to_place()
    {
        using TestBoard board = Machine(Port, A, Free);
        ProgramAsFirmware(board);
        PciFunction late = new("late", new PciIdentity(1, 2, 0xFF_0000));
        late.AddBar(0, BarKind.Memory32, 0x1000);
        late.AddBar(1, BarKind.Memory32, 0x1000);
        board.Board.Plug(((PciBridge)board.Function("rp")).Secondary, new DeviceNode("late", 0, _ => new MadeFunction(late))
        {
            Pins = [new BarPin(1, new GuestAddress(0xD900_0000))],
        });
        Assert.Equal(0u, board.BarAt("late", 1));
        board.SetBar("late", 0, 0xC200_0000);
        board.SetBar("late", 1, 0xC200_1000);
        board.SetCommand("late", PciCommand.MemorySpace);
        board.TakeOver();
        Assert.Equal(0u, board.BarAt("late", 0));
        Assert.Equal(0xD900_0000u, board.BarAt("late", 1));
        Assert.Equal(PciCommand.None, late.Command & On);
    }

    [Fact]
    public void A_second_handover_changes_nothing_and_a_reset_gives_the_machine_back_to_firmware()
    {
        using TestBoard board = Machine(Port, A, Free);
        ProgramAsFirmware(board);
        board.TakeOver();
        board.SetCommand("f", PciCommand.None);
        board.SetBar("f", 0, 0xC700_0000);
        board.SetCommand("f", PciCommand.MemorySpace);
        board.TakeOver();
        Assert.Equal("f.bar0", board.Answers(0xC700_0000));
        Assert.Single(Events("handover"));
        Assert.Equal(1u, board.Cpu.PortRead(0x51C, 4) & uint.MaxValue);
        board.Board.Reset();
        Assert.Equal(0u, board.Cpu.PortRead(0x51C, 4) & uint.MaxValue);
        Assert.False(board.Board.IsHandedOver);
        ProgramAsFirmware(board);
        Assert.Equal("a.bar0", board.Answers(0xC010_0000));
        board.TakeOver();
        AssertPlanned(board);
    }

    [Fact]
    public void A_BAR_that_follows_goes_to_its_pin_with_the_handover_and_follows_the_operating_system_from_there()
    {
        using TestBoard board = Machine(A + ",policy=follow");
        board.Board.AddWatcher(new PinGuard(() => board.Board.Decode, _log, Assert.Fail));
        board.SetBar("a", 0, 0xC010_0000);
        board.SetBar("a", 2, 0xD000_0000);
        board.SetCommand("a", PciCommand.MemorySpace);
        Assert.Empty(Events("pin.moved"));
        board.TakeOver();
        Assert.Equal("a.bar0", board.Answers(0xE800_0000));
        board.SetBar("a", 0, 0xE900_0000);
        Assert.Equal(("0xe8000000", "0xe9000000"), Assert.Single(Events("pin.moved").Select(e => (Text(e, "old"), Text(e, "new")))));
    }

    [Fact]
    public void Without_firmware_there_is_no_register_and_the_operating_system_has_the_machine_from_the_start()
    {
        using TestBoard board = TestBoard.Direct(A);
        Assert.True(board.Board.IsHandedOver);
        Assert.Equal(uint.MaxValue, board.Cpu.PortRead(0x51C, 4) & uint.MaxValue);
    }

    [Theory]
    [InlineData(0x51C, 4, 0u)]
    [InlineData(0x51C, 4, 2u)]
    [InlineData(0x51C, 2, 1u)]
    [InlineData(0x51C, 1, 1u)]
    [InlineData(0x51D, 1, 1u)]
    [InlineData(0x51E, 2, 1u)]
    public void Nothing_but_1_in_four_bytes_hands_the_machine_over(int port, int size, uint value)
    {
        using TestBoard board = Machine(A);
        board.Cpu.PortWrite((ushort)port, size, value);
        Assert.False(board.Board.IsHandedOver);
    }

    [Fact]
    public void A_pin_that_always_holds_answers_as_well_where_firmware_put_it_until_the_handover()
    {
        using TestBoard board = TestBoard.UnderFirmware(PinTiming.Always, _log, A, Free);
        board.SetBar("a", 0, 0xC010_0000);
        board.SetBar("a", 2, 0xD000_0000);
        board.SetCommand("a", PciCommand.MemorySpace);
        Assert.Equal("a.bar0", board.Answers(0xE800_0000));
        Assert.Equal("a.bar0 at firmware's address", board.Answers(0xC010_0000));
        board.Store(0xD000_0010, 0x1234);
        Assert.Equal(0x1234u, board.Load(0x3B80_0000_0010));
        Assert.Null(board.Slots.Verify());

        // A sizing write is not an address, and what another BAR decodes is not the alias's.
        board.SetBar("a", 0, uint.MaxValue);
        Assert.Null(board.Answers(0xC010_0000));
        board.SetBar("a", 0, 0xC020_0000);
        board.SetBar("f", 0, 0xC020_0000);
        board.SetCommand("f", PciCommand.MemorySpace);
        Assert.Equal("f.bar0", board.Answers(0xC020_0000));
        board.SetCommand("f", PciCommand.None);
        Assert.Equal("a.bar0 at firmware's address", board.Answers(0xC020_0000));
        board.TakeOver();
        Assert.Null(board.Answers(0xC020_0000));
        Assert.Null(board.Answers(0xD000_0000));
        Assert.Equal("a.bar2", board.Answers(0x3B80_0000_0000));
        Assert.Equal(["bar0", "bar2", "bar0"], Events("bar.alias").Select(e => Text(e, "bar")));
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(0x10_0000UL)]
    [InlineData(0xFEE0_0000UL)]
    public void An_alias_never_covers_RAM_or_what_is_the_boards_own(ulong asked)
    {
        using TestBoard board = TestBoard.UnderFirmware(PinTiming.Always, _log, A);
        string? before = board.Answers(asked);
        board.SetBar("a", 0, asked);
        board.SetCommand("a", PciCommand.MemorySpace);
        Assert.Equal(before, board.Answers(asked));
        Assert.Empty(Events("bar.alias"));
        Assert.Null(board.Slots.Verify());
    }

    private TestBoard Machine(params string[] options) => TestBoard.UnderFirmware(PinTiming.Handover, _log, options);

    // Bus numbers, windows and addresses of firmware's own.
    private static void ProgramAsFirmware(TestBoard board)
    {
        if (board.Board.Pci.Functions.Any(f => f.Name == "rp"))
        {
            board.Write("rp", 0x18, 0x0007_0700);
            board.Write("rp", 0x20, 0xC2F0_C200);
            board.SetCommand("rp", On);
        }

        ulong next = 0xC010_0000;
        foreach (string name in (string[])["a", "f"])
        {
            if (board.Board.Pci.Functions.FirstOrDefault(f => f.Name == name) is { } function)
            {
                foreach (Bar bar in function.Bars.Where(b => b.Kind.IsMemory()))
                {
                    next = (next + bar.Size - 1) & ~(bar.Size - 1);
                    board.SetBar(name, bar.Index, next);
                    next += bar.Size;
                }

                if (function.FindBar(4) is not null)
                {
                    board.SetBar(name, 4, 0x6000);
                }

                board.SetCommand(name, On);
            }
        }

        if (board.Board.Pci.Functions.Any(f => f.Name == "b"))
        {
            board.SetBar("b", 0, 0xC200_0000);
            board.SetCommand("b", On);
        }
    }

    private static void AssertPlanned(TestBoard board)
    {
        foreach (FunctionPlacement placement in board.Map.Functions)
        {
            PciFunction function = board.Function(placement.Name);
            Assert.Equal(placement.Address, function.Bdf);
            Assert.All(placement.Bars, bar => Assert.Equal(bar.Address.Value, board.BarAt(placement.Name, bar.Demand.Index)));
            if (placement.Bridge is { } bridge)
            {
                Assert.Equal((bridge.Io, bridge.Memory, bridge.Prefetchable), (Open(function, BridgeWindow.Io), Open(function, BridgeWindow.Memory),
                    Open(function, BridgeWindow.Prefetchable)));
            }
        }
    }

    private static AddressRange? Open(PciFunction bridge, BridgeWindow window) => ((PciBridge)bridge).Window(window);

    private IEnumerable<JsonElement> Events(string kind) =>
        _log.Lines.Select(l => JsonDocument.Parse(l).RootElement).Where(e => e.GetProperty("event").GetString() == kind);

    private static string Text(JsonElement e, string name) => e.GetProperty(name).GetString()!;
}
