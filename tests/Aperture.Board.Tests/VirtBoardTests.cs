using Aperture.Board.Tests.Fakes;
using Aperture.Board.Virt;
using Aperture.Devices.TestDevice;
using Aperture.Firmware.Fdt;
using Aperture.Firmware.Platform;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.TestKit.Devices;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Board.Tests;

/// <summary>A machine of Arm's kind as its guest finds it.</summary>
public class VirtBoardTests
{
    private static readonly string[] Options =
    [
        "--root-port id=rp,addr=02.0", "--switch id=sw,port=rp,downstream=2",
        "--device test,id=a,addr=04.0,bar0=mem32:8K:trap,bar1=mem32p:64K:ram,bar2=mem64p:1M:ram,bar4=io:64,rom=64K,msi=2,msix=2",
        "--device test,id=b,port=sw.0,bar0=mem32:8K:trap,bar1=mem32:64K:ram,bar2=mem64p:1M:ram,bar4=io:64,msix=4",
        "--device test,id=c,port=sw.1,bar0=mem64:1M:ram,bar2=mem64p:1M:trap,bars=bar0@0x20000000,bar2@0x9000000000",
    ];

    private static readonly string[] Names = ["pcie-host", "rp", "sw", "sw.0", "sw.1", "a", "b", "c"];

    [Fact]
    public void Every_function_is_found_by_ECAM_on_the_bus_where_the_plan_has_it()
    {
        using VirtTestBoard board = new(Options);
        Assert.Equal(0x0008_1B36u, board.Read("pcie-host", 0));
        foreach (FunctionPlacement function in board.Map.Functions)
        {
            Assert.NotEqual(uint.MaxValue, (uint)board.Load(board.Config(function.Address, 0)));
        }

        Assert.Equal(uint.MaxValue, (uint)board.Load(board.Config(new Bdf(0x00F8), 0)));
    }

    [Fact]
    public void BARs_answer_where_the_plan_has_them_and_ports_through_their_window()
    {
        using VirtTestBoard board = new(Options);
        Assert.Equal((0x2000_0000UL, 0x90_0000_0000UL), (board.BarAt("c", 0), board.BarAt("c", 2)));
        foreach (FunctionPlacement function in board.Map.Functions)
        {
            Assert.All(function.Bars, bar => Assert.Equal(bar.Address.Value, board.BarAt(function.Name, bar.Demand.Index)));
        }

        ulong port = board.BarAt("a", 4);
        Assert.InRange(port, 0x1000UL, 0xFFFFUL);
        LookupCache cache = default;
        board.Board.PortDispatcher.Read(ref cache, new GuestAddress(port), 4, out ulong direct);
        Assert.Equal(direct, board.Load(0x3EFF_0000 + port));
        Assert.Equal(0UL, board.Board.UnclaimedPorts.Total);
        Assert.Equal(ulong.MaxValue, board.Load(0x3EFF_0000, 8));
        Assert.Equal(2UL, board.Board.UnclaimedPorts.Total);
    }

    [Theory]
    [InlineData("04.0", 3u)]
    [InlineData("05.0", 4u)]
    [InlineData("07.0", 6u)]
    public void INTA_of_root_device_d_arrives_at_shared_interrupt_3_plus_d_modulo_4(string place, uint spi)
    {
        using VirtTestBoard board = new($"--device test,id=a,addr={place},bar0=mem32:4K:trap");
        board.Store(board.BarAt("a", 0) + TestRegisters.InterruptTrigger, 0);
        Assert.Equal([spi], board.Lines.Where(l => l.Value.Level).Select(l => l.Key));
        board.Store(board.BarAt("a", 0) + TestRegisters.InterruptStatus, 1);
        Assert.DoesNotContain(board.Lines.Values, l => l.Level);
    }

    [Fact]
    public void Messages_say_who_sends_them()
    {
        const ulong Doorbell = 0x0809_0040;
        using VirtTestBoard board = new(Options);
        PciFunction function = board.Function("b");
        int msix = Capability(board, "b", 0x11);
        board.Write("b", 4, 6, 2);
        board.Write("b", msix + 2, 0x8000, 2);
        uint table = board.Read("b", msix + 4);
        ulong entry = board.BarAt("b", (int)(table & 7)) + (table & ~7u);
        board.Store(entry, Doorbell);
        board.Store(entry + 4, 0);
        board.Store(entry + 8, 5);
        board.Store(entry + 12, 0);
        board.Store(board.BarAt("b", 0) + TestRegisters.InterruptTrigger, 0);
        Assert.Equal((function.Bdf, new MsiMessage(new GuestAddress(Doorbell), 5)), Assert.Single(board.Messages));
    }

    [Fact]
    public void The_board_has_its_devices_where_its_description_says()
    {
        FakeClock clock = new();
        using VirtTestBoard board = new(clock, VirtTestBoard.AddressBits, Options);
        VirtDescription told = VirtTelling.Planned(board.Map, new VirtProcessors([0, 1], HasIts: true, HasPmu: true));
        board.Store(told.Uart.Range.Start.Value, 'x', 1);
        Assert.Equal("x"u8.ToArray(), board.Sent);
        board.Store(told.Uart.Range.Start.Value + 0x38, 0x20);
        Assert.True(board.Lines[told.Uart.Spi].Level);
        Assert.Equal((uint)clock.GetUtcNow().ToUnixTimeSeconds(), (uint)board.Load(told.Rtc.Range.Start.Value));
        board.Virt.PressPowerButton();
        Assert.Equal(8UL, board.Load(told.Gpio.Range.Start.Value + 0x3FC));
        Assert.True(board.Lines[told.EventDevice!.Spi].Level);
        Assert.Equal(VirtDescription.PowerButtonEvent, (uint)board.Load(told.EventDevice.Range.Start.Value));
        Assert.False(board.Lines[told.EventDevice.Spi].Level);
        Assert.Equal([.. board.Ram.Pieces.Select(p => p.Range)], told.Ram);

        // And all of it can be told.
        Assert.InRange(FdtWriter.Write(VirtTree.Build(told, new TreeChoices { KeepsPci = true })).Length, 1000, FdtWriter.MaxSize);
        Assert.Equal(board.Map.Ecam!.Value.Start, told.Pcie.Ecam.Range.Start);
        Assert.Equal(board.Map.Functions.Max(f => f.Bridge?.Subordinate ?? 0), told.Pcie.Ecam.LastBus);
        foreach (int device in (int[])[4, 5, 6, 7])
        {
            Assert.Equal(told.Pcie.IntxSpi(device, 0), 3u + ((uint)device % 4));
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(123, 1)]
    [InlineData(124, 2)]
    [InlineData(512, 2)]
    public void There_is_a_redistributor_for_each_processor(int count, int runs)
    {
        IReadOnlyList<AddressRange> told = VirtTelling.Redistributors(count);
        Assert.Equal(runs, told.Count);
        Assert.Equal((ulong)count * 0x2_0000, told.Aggregate(0UL, (sum, run) => sum + run.Size));
        Assert.Equal(0x080A_0000UL, told[0].Start.Value);
        Assert.All(told, run => Assert.True(run.Last.Value is < 0x0900_0000 or (>= 0x0C00_0000 and < 0x1000_0000)));
    }

    [Fact]
    public void More_processors_than_that_are_refused_in_one_sentence() => Assert.Equal(
        "--cpus 513 is more than the virt board's interrupt controller has places for; give it 1 to 512.",
        Assert.Throws<ApertureException>(() => VirtTelling.Redistributors(513)).Message);

    /// <summary>One thing that a guest does; printed when a sequence fails.</summary>
    private sealed record Step(string What, string Name, int Offset, int Size, ulong Value)
    {
        public void Do(VirtTestBoard board)
        {
            switch (What)
            {
                case "ecam":
                    board.Store(board.Config(board.Function(Name).Bdf, Offset), Value, Size);
                    board.Load(board.Config(board.Function(Name).Bdf, Offset), Size);
                    break;
                case "absent":
                    board.Store(board.Config(new Bdf((ushort)Value), Offset), Value, Size);
                    board.Load(board.Config(new Bdf((ushort)Value), Offset), Size);
                    break;
                case "device":
                    board.Store(0x0900_0000 + ((Value & 3) << 16) + (ulong)Offset, Value >> 8, Size);
                    board.Load(0x0900_0000 + ((Value & 3) << 16) + (ulong)Offset, Size);
                    break;
                case "port":
                    board.Load(0x3EFF_0000 + (Value & 0xFFFF), Size);
                    break;
                case "reset":
                    board.Board.Reset();
                    PciProgrammer.Program(board.Board, board.Map);
                    break;
                case "reprogram":
                    PciProgrammer.Program(board.Board, board.Map);
                    break;
            }
        }
    }

    private static Gen<Step> Steps { get; } =
        from what in Gen.Frequency(
            (20, Gen.Constant("ecam")), (2, Gen.Constant("absent")), (2, Gen.Constant("device")), (1, Gen.Constant("port")), (1, Gen.Constant("reset")),
            (2, Gen.Constant("reprogram")))
        from name in Gen.Elements(Names)
        from offset in Gen.Frequency(
            (6, Gen.Elements(0x04, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x30, 0x3E, 0x44)), (4, Gen.Choose(0, 0xFF)), (1, Gen.Choose(0, 0xFFF)))
        from size in Gen.Elements(1, 2, 4, 4, 4, 8)
        from value in Gen.OneOf(
            Gen.Elements(
                0u, uint.MaxValue, 7u, 3u, 0x0002_0100u, 0x1000_0000u, 0x2010_0000u, 0x2000_0000u, 0x2030_2000u, 0xFFF0_0000u, 0x0000_FFF0u, 0x80u, 0x90u,
                0x4000_0000u, 0x0900_0000u, 0x3EFF_0000u, 0xF0F0u),
            Gen.Choose(0, int.MaxValue).Select(n => (uint)n * 2654435761u))
        select new Step(what, name, offset, size, value | (ulong)value << 32);

    [Theory]
    [InlineData(VirtTestBoard.AddressBits)]
    [InlineData(36)]
    public void Whatever_the_guest_writes_the_slots_are_the_view_RAM_stays_and_the_BARs_decode_as_the_registers_say(int bits)
    {
        int moved = 0;
        int decoded = 0;
        string[] options = bits == VirtTestBoard.AddressBits ? Options : [.. Options.Select(o => o.Replace(",bar2@0x9000000000", ",bar2@0x900000000"))];
        Prop.ForAll(Steps.ListOf(120).ToArbitrary(), steps =>
        {
            using VirtTestBoard board = new(TimeProvider.System, bits, options);
            foreach (Step step in steps)
            {
                DecodeMap before = board.Board.Decode;
                step.Do(board);
                Check(board);
                moved += before.Memory.SequenceEqual(board.Board.Decode.Memory) ? 0 : 1;
                decoded += board.Board.Decode.Memory.Count;
            }
        }).Holds(60);
        Assert.True(moved > 200 && decoded > 3000, $"{moved} moves, {decoded} BARs decoded");
    }

    private static void Check(VirtTestBoard board)
    {
        Assert.Null(board.Slots.Verify());
        Assert.Equal(0, board.Host.Refusals);
        Assert.Equal(board.Slots.Slots.OrderBy(s => s.Range), board.Host.Table.Values.OrderBy(s => s.Range));
        foreach (AddressRange ram in board.Map.Ram.Pieces)
        {
            Assert.Equal(board.Ram.Block, board.Host.At(ram.Start.Value)?.Region.Ram);
            Assert.Equal(board.Ram.Block, board.Host.At(ram.Last.Value)?.Region.Ram);
        }

        List<DecodeOracle.Claim> claims = DecodeOracle.Claims(
            board.Board, pinsHold: true, (io, range) => io ? range.Last.Value <= 0xFFFF : Forwarded(board, range));
        DecodeMap map = board.Board.Decode;
        foreach (DecodeOracle.Claim claim in claims)
        {
            bool decodes = map.Find(claim.Bar) == claim.Range;
            Assert.True(decodes || claims.Any(other => claim.Clashes(other) && map.Find(other.Bar) == other.Range), $"{claim} is lost");
        }

        Assert.Equal(claims.Count(c => map.Find(c.Bar) is not null), map.Memory.Count + map.Io.Count);
    }

    private static bool Forwarded(VirtTestBoard board, AddressRange range)
    {
        HostBridgePlacement bridge = board.Map.HostBridges[0];
        (ulong First, ulong Last)[] taken = [(0, 0x0FFF_FFFF), (0x3EFF_0000, 0x3EFF_FFFF)];
        return bridge.Mmio32Windows.Concat(bridge.Mmio64Windows).Any(w => w.Contains(range))
            && !taken.Any(t => range.Start.Value <= t.Last && range.Last.Value >= t.First)
            && !board.Map.Ram.Pieces.Append(board.Map.Ecam!.Value).Any(range.Overlaps);
    }

    private static int Capability(VirtTestBoard board, string name, uint id)
    {
        int at = (int)board.Read(name, 0x34, 1);
        while (board.Read(name, at, 1) != id)
        {
            at = (int)board.Read(name, at + 1, 1);
            Assert.NotEqual(0, at);
        }

        return at;
    }
}
