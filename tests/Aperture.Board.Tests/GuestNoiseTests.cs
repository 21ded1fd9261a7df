using Aperture.Board.Tests.Fakes;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Board.Tests;

/// <summary>
/// A guest that does anything to the board's config space and memory map: nothing throws, no slot is lost, and what decodes is what the registers say.
/// </summary>
public class GuestNoiseTests
{
    private const ulong High = 0x20_0000_0000;

    private static readonly string[] Options =
    [
        "--root-port id=rp,addr=02.0", "--switch id=sw,port=rp,downstream=2",
        "--device test,id=a,addr=04.0,bar0=mem32:8K:trap,bar1=mem32p:64K:ram,bar2=mem64p:1M:ram,bar4=io:64,rom=64K,msi=2,msix=2",
        "--device test,id=b,port=sw.0,bar0=mem32:8K:trap,bar1=mem32:64K:ram,bar2=mem64p:1M:ram,bar4=io:64,msix=4",
        "--device test,id=c,port=sw.1,bar0=mem64:1M:ram,bar2=mem64p:1M:trap,bars=bar0@0xe0200000,bar2@0x2000000000",
    ];

    private static readonly string[] Names = ["mch", "lpc", "rp", "sw", "sw.0", "sw.1", "a", "b", "c"];

    /// <summary>One thing that a guest does; printed when a sequence fails.</summary>
    private sealed record Step(string What, string Name, int Offset, int Size, uint Value)
    {
        public void Do(TestBoard board)
        {
            switch (What)
            {
                case "cf8":
                    board.Write(Name, Offset & 0xFF, Value, Size);
                    board.Read(Name, Offset & 0xFF, Size);
                    break;
                case "absent":
                    Bdf nobody = new((ushort)(Value >> 8));
                    board.Write(nobody, Offset & 0xFF, Size, Value);
                    board.Read(nobody, Offset & 0xFF, Size);
                    break;
                case "memory":
                    board.Store(Value | (Offset % 3 == 0 ? High : 0), Value, Size);
                    board.Load((ulong)Value << (Offset % 6), Size);
                    break;
                case "port":
                    // Not where the requests of the chipset and the DMA engines of devices are.
                    board.Cpu.PortRead((ushort)Value, Math.Min(Size, 4));
                    break;
                case "ecam" when DecodeOracle.Ecam(board) is { } ecam:
                    ulong at = ecam.Start.Value + ((ulong)board.Function(Name).Bdf.RoutingId << 12) + (ulong)Offset;
                    board.Store(at, Value | (ulong)Value << 32, Size);
                    board.Load(at, Size);
                    break;
                case "swap":
                    Swap(board, Offset % 2 == 0 ? 1 : 2);
                    break;
                case "handover":
                    board.TakeOver();
                    break;
                case "register":
                    board.Cpu.PortWrite((ushort)(0x51C + (Offset & 3)), Size, Value);
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

        // As an operating system does that rebalances: decoding off, both written, decoding on.
        private static void Swap(TestBoard board, int bar)
        {
            ulong a = board.BarAt("a", bar);
            ulong b = board.BarAt("b", bar);
            board.SetCommand("a", PciCommand.None);
            board.SetCommand("b", PciCommand.None);
            board.SetBar("a", bar, b);
            board.SetBar("b", bar, a);
            board.SetCommand("a", PciCommand.MemorySpace | PciCommand.IoSpace);
            board.SetCommand("b", PciCommand.MemorySpace | PciCommand.IoSpace);
        }
    }

    private static Gen<uint> Values { get; } = Gen.OneOf(
        Gen.Elements(
            0u, uint.MaxValue, 7u, 3u, 0x30u, 0x0002_0100u, 0xE000_0000u, 0xE010_0000u, 0xE020_0000u, 0xE030_E000u, 0xFFF0_0000u, 0x0000_FFF0u, 0xB000_0001u,
            0xC000_0003u, 0xE000_0005u, 0x20u, 0x0020_0000u, 0xFEE0_0000u, 0xFEFF_0000u, 0xF0F0u, 0x40u << 16),
        Gen.Choose(0, int.MaxValue).Select(n => (uint)n * 2654435761u));

    private static Gen<int> Offsets { get; } = Gen.Frequency(
        (6, Gen.Elements(0x04, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x2C, 0x30, 0x3E, 0x44, 0x60, 0x64, 0x90, 0x91, 0x94, 0x96, 0x9D)),
        (4, Gen.Choose(0, 0xFF)),
        (1, Gen.Choose(0, 0xFFF)));

    private static Gen<Step> Steps { get; } =
        from what in Gen.Frequency(
            (12, Gen.Constant("cf8")), (10, Gen.Constant("ecam")), (2, Gen.Constant("absent")), (1, Gen.Constant("memory")), (1, Gen.Constant("port")),
            (2, Gen.Constant("swap")), (1, Gen.Constant("reset")), (2, Gen.Constant("reprogram")), (1, Gen.Constant("handover")), (1, Gen.Constant("register")))
        from name in Gen.Elements(Names)
        from offset in Offsets
        from size in Gen.Elements(1, 2, 4, 4, 4, 8)
        from value in Values
        select new Step(what, name, offset, what == "ecam" ? size : Math.Min(size, 4), value);

    [Theory]
    [InlineData(true, PinTiming.Always)]
    [InlineData(false, PinTiming.Always)]
    [InlineData(false, PinTiming.Handover)]
    public void Whatever_the_guest_writes_the_slots_are_the_view_RAM_stays_and_the_BARs_decode_as_the_registers_say(bool direct, PinTiming pins)
    {
        int moved = 0;
        int decoded = 0;
        Prop.ForAll(Steps.ListOf(120).ToArbitrary(), steps =>
        {
            string[] options = [.. Options, "--memory 16M"];
            using TestBoard board = direct ? TestBoard.Direct(options) : TestBoard.UnderFirmware(pins, NoEvents.Instance, options);
            if (!direct)
            {
                PciProgrammer.Program(board.Board, board.Map);
            }

            foreach (Step step in steps)
            {
                DecodeMap before = board.Board.Decode;
                step.Do(board);
                CheckSlots(board);
                CheckRam(board);
                CheckBars(board, step.What is "reset" or "swap" or "reprogram" or "handover" or "register" ? null : before);
                moved += before.Memory.SequenceEqual(board.Board.Decode.Memory) ? 0 : 1;
                decoded += board.Board.Decode.Memory.Count;
            }
        }).Holds();

        // The noise must not drown everything, or nothing was tested.
        Assert.True(moved > 500 && decoded > 5000, $"{moved} moves, {decoded} BARs decoded");
    }

    private static void CheckSlots(TestBoard board)
    {
        Assert.Null(board.Slots.Verify());
        Assert.Equal(0, board.Host.Refusals);
        Assert.Empty(board.Slots.Trapped);
        Assert.Equal(board.Slots.Slots.OrderBy(s => s.Range), board.Host.Table.Values.OrderBy(s => s.Range));
    }

    // RAM shows, writable and at its own bytes, wherever nothing of higher rank lies.
    private static void CheckRam(TestBoard board)
    {
        AddressRange? ecam = DecodeOracle.Ecam(board);
        foreach (ulong at in new ulong[] { 0, 0x7C000, 0x9_F000, 0x10_0000, 0x20_0000, 0xFF_F000 })
        {
            if (ecam is { } window && window.Contains(new GuestAddress(at)))
            {
                Assert.Null(board.Host.At(at));
                continue;
            }

            if (RamOracle.At(board, at) is null)
            {
                Assert.NotEqual(board.Ram.Block, board.Host.At(at)?.Region.Ram);
                continue;
            }

            MemorySlot slot = Assert.NotNull(board.Host.At(at));
            Assert.False(slot.IsReadOnly);
            Assert.Equal(board.Ram.Block.HostAddress + at, slot.Host + (at - slot.Range.Start.Value));
        }

        for (int segment = 0; segment < 13; segment++)
        {
            ulong at = 0xC_0000 + ((ulong)segment * 0x4000);
            int register = segment == 12 ? 0x90 : 0x91 + (segment / 2);
            uint bits = board.Function("mch").Config.Read(register, 1) >> (segment == 12 || segment % 2 == 1 ? 4 : 0) & 3;
            bool hidden = ecam is { } window && window.Contains(new GuestAddress(at));
            bool ram = !hidden && board.Host.At(at) is { } slot && slot.Region.Ram == board.Ram.Block;
            Assert.Equal(!hidden && (bits & 1) != 0, ram);
            Assert.True(!ram || board.Host.At(at)!.Value.IsReadOnly == (bits == 1));
        }
    }

    private static void CheckBars(TestBoard board, DecodeMap? before)
    {
        List<DecodeOracle.Claim> claims = DecodeOracle.Claims(board);
        DecodeMap map = board.Board.Decode;
        foreach (DecodeOracle.Claim claim in claims)
        {
            bool decodes = Shows(board, claim);
            Assert.Equal(decodes ? claim.Range : null, map.Find(claim.Bar));

            // Alone it decodes; refused, it is in the way of one that does.
            Assert.True(decodes || claims.Any(other => claim.Clashes(other) && Shows(board, other)),
                $"{claim.Bar.Function.Name} {claim.Bar.Name} at {claim.Range} is lost");
            Assert.True(!decodes || !claims.Any(other => claim.Clashes(other) && map.Find(other.Bar) is not null),
                $"{claim.Bar.Name} at {claim.Range} is double");

            // The one that was there first stays.
            Assert.True(decodes || before?.Find(claim.Bar) != claim.Range, $"{claim.Bar.Name} at {claim.Range} was driven away");
        }

        // And nobody else decodes.
        Assert.Equal(claims.Count(c => map.Find(c.Bar) is not null), map.Memory.Count + map.Io.Count);
        HashSet<string> shown = [.. claims.Where(c => map.Find(c.Bar) is not null && !c.Io).Select(Name)];
        foreach (FlatRange range in board.Board.Memory.View.Ranges)
        {
            // An alias is of a BAR that decodes, and is there for as long only.
            string name = range.Region.Origin.Name;
            Assert.True(!name.Contains('.', StringComparison.Ordinal) || shown.Contains(name), $"{range} does not decode");
        }
    }

    private static string Name(DecodeOracle.Claim claim) => $"{claim.Bar.Function.Name}.{claim.Bar.Name}";

    // By what answers at both ends. The board's own ports win over an I/O BAR.
    private static bool Shows(TestBoard board, DecodeOracle.Claim claim)
    {
        if (claim.Io && claim.Range.Start.Value < 0x1000)
        {
            return board.Board.Decode.Find(claim.Bar) == claim.Range;
        }

        FlatView view = (claim.Io ? board.Board.Ports : board.Board.Memory).View;
        int first = view.IndexOf(claim.Range.Start);
        int last = view.IndexOf(claim.Range.Last);
        return first >= 0 && first == last && view.Ranges[first].Region.Name == Name(claim);
    }
}
