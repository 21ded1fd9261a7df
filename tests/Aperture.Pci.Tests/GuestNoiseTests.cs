using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using FsCheck;
using FsCheck.Fluent;

namespace Aperture.Pci.Tests;

/// <summary>A guest that writes anything anywhere: nothing throws, nothing read-only changes, and the map keeps its promises.</summary>
public class GuestNoiseTests
{
    private sealed record Access(bool Ecam, int Place, int Offset, int Size, uint Value, bool Write);

    private static Gen<Access> Accesses { get; } =
        from ecam in Gen.Elements(true, false)
        from place in Gen.Elements(0x000, 0x008, 0x010, 0x100, 0x200, 0x201, 0x208, 0x300, 0x301, 0xFF8, 0x400, 0xFFFF)
        from offset in Gen.Frequency((6, Gen.Choose(0, 0x3F)), (6, Gen.Elements(0x04, 0x04, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x30, 0x3E)),
            (3, Gen.Choose(0x40, 0xFF)), (2, Gen.Choose(0x100, 0x180)), (1, Gen.Choose(0, 0xFFF)))
        from size in Gen.Elements(1, 2, 4, 4, 8)
        from value in Gen.OneOf(
            Gen.Elements(0u, uint.MaxValue, 7u, 0x0001_0100u, 0x0002_0201u, 0xE000_0000u, 0xE010_E000u, 0xFFF0_0000u, 0x8000_0000u, 0x40u << 16),
            Gen.Choose(0, int.MaxValue).Select(n => (uint)n * 2654435761u))
        from write in Gen.Elements(true, true, false)
        select new Access(ecam, place, offset, size, value, write);

    private sealed class Board
    {
        public Board()
        {
            PciHierarchy hierarchy = new(Sink);
            Hierarchy = hierarchy;
            Sink.Then = (_, _) => Map = hierarchy.ComputeDecode(Limits, Map);
            Ports = new Cf8Mechanism(Hierarchy);
            Ecam = new EcamMechanism(Hierarchy);
            RootPort port = new("port", 1);
            SwitchUpstreamPort up = new("up", 1);
            SwitchDownstreamPort down = new("down", 2);
            Hierarchy.Root.Add(0x00, Build.Function("mch", ConfigSpace.ConventionalSize));
            Hierarchy.Root.Add(0x08, port);
            Hierarchy.Root.Add(0x10, Endpoint("plain", null));
            port.Secondary.Add(0, up);
            up.Secondary.Add(0, down);
            down.Secondary.Add(0, Endpoint("pinned", 0xE020_0000));
            down.Secondary.Add(1, Endpoint("second", null));
            port.ProgramBusNumbers(0, 1, 3);
            up.ProgramBusNumbers(1, 2, 3);
            down.ProgramBusNumbers(2, 3, 3);
            foreach (PciBridge bridge in new PciBridge[] { port, up, down })
            {
                bridge.ProgramWindow(BridgeWindow.Memory, Build.Range(0xE000_0000, 0x100_0000));
                bridge.ProgramCommand(PciCommand.MemorySpace | PciCommand.BusMaster, PciCommand.MemorySpace | PciCommand.BusMaster);
            }

            Map = Hierarchy.ComputeDecode(Limits, Map);
        }

        public RecordingWriteSink Sink { get; } = new();

        public PciHierarchy Hierarchy { get; }

        public Cf8Mechanism Ports { get; }

        public EcamMechanism Ecam { get; }

        public DecodeMap Map { get; private set; } = DecodeMap.Empty;

        public DecodeLimits Limits { get; } = new(
            [Build.Range(0xC000_0000, 0x3EC0_0000), Build.Range(0x1_0000_0000, 0xFFFF_0000_0000)],
            [Build.Range(0x1000, 0xF000)],
            [new DecodeObstacle(Build.Range(0x1_0000_0000, 0x8000_0000), "RAM"), new DecodeObstacle(Build.Range(0xC000_0000, 0x1000_0000), "ECAM")]);

        public void Do(Access access)
        {
            if (access.Ecam)
            {
                ulong at = ((ulong)access.Place << 12) + (ulong)access.Offset;
                ulong wide = access.Value | (ulong)access.Value << 32;
                if (access.Write)
                {
                    Ecam.Write(at, access.Size, wide & AccessWidth.AllOnes(access.Size));
                }
                else
                {
                    Ecam.Read(at, access.Size, out ulong value);
                    Assert.Equal(0ul, value & ~AccessWidth.AllOnes(access.Size));
                }

                return;
            }

            Ports.Write(0, 4, 0x8000_0000 | (uint)access.Place << 8 | (uint)(access.Offset & 0xFC));
            ulong port = 4 + (ulong)(access.Offset & 3);
            if (access.Write)
            {
                Ports.Write(port, access.Size, access.Value);
            }
            else
            {
                Ports.Read(port, access.Size, out ulong value);
                Assert.Equal(0ul, value & ~AccessWidth.AllOnes(access.Size));
            }
        }

        private static PciFunction Endpoint(string name, ulong? pin)
        {
            PciFunction function = Build.Function(name);
            function.AddCapability(new PciExpressCapability(PciePortType.Endpoint));
            function.AddCapability(new PowerManagementCapability());
            function.AddCapability(new MsiCapability(4));
            function.AddCapability(new MsixCapability(4, 0, 0, 0, 0x800));
            function.AddCapability(new AdvancedErrorCapability());
            Build.Enable(function);
            function.AddBar(1, BarKind.Io, 0x100);
            function.AddBar(2, BarKind.Memory64Prefetchable, 0x10_0000_0000);
            function.AddBar(BarKinds.RomIndex, BarKind.Rom, 0x1_0000);
            Bar bar = function.AddBar(0, BarKind.Memory32, 0x10_0000);
            if (pin is { } address)
            {
                bar.SetPin(Build.At(address));
            }

            return function;
        }
    }

    // What no guest may change: ids, class, header type, the capability chains and the low bits of every BAR.
    private static List<uint> Fixed(PciFunction function) =>
    [
        function.ReadConfig(0x00, 4),
        function.ReadConfig(0x08, 4),
        function.ReadConfig(0x0E, 1),
        function.ReadConfig(0x34, 1),
        .. function.Capabilities.Select(c => function.ReadConfig(c.Offset, c is ExtendedCapability ? 4 : 2)),
        .. function.Bars.Select(b => b.Index == BarKinds.RomIndex ? 0 : function.ReadConfig(0x10 + (4 * b.Index), 1) & 0xF),
    ];

    [Fact]
    public void Random_accesses_through_both_mechanisms_leave_the_invariants_standing()
    {
        int moved = 0;
        Prop.ForAll(Accesses.ListOf(150).ToArbitrary(), accesses =>
        {
            Board board = new();
            List<PciFunction> functions = [.. board.Hierarchy.Functions];
            List<List<uint>> before = [.. functions.Select(Fixed)];
            foreach (Access access in accesses)
            {
                DecodeMap last = board.Map;
                board.Do(access);
                CheckMap(board);
                moved += last.Memory.SequenceEqual(board.Map.Memory) ? 0 : 1;
            }

            Assert.Equal(before, functions.Select(Fixed));
            PciFunction pinned = functions.Single(f => f.Name == "pinned");
            Assert.Equal(0xE020_0000u, pinned.FindBar(0)!.DecodeAddress.Value);
        }).Holds();
        Assert.True(moved > 100, $"the map changed only {moved} times");
    }

    private static void CheckMap(Board board)
    {
        List<DecodedBar> memory = [.. board.Map.Memory];
        for (int i = 0; i < memory.Count; i++)
        {
            AddressRange range = memory[i].Range;
            Assert.Contains(board.Limits.MemoryWindows, window => window.Contains(range));
            Assert.DoesNotContain(board.Limits.ReservedMemory, reserved => reserved.Range.Overlaps(range));
            Assert.True(i == 0 || memory[i - 1].Range.Last < range.Start);
            Assert.True((memory[i].Function.Command & PciCommand.MemorySpace) != 0);
        }

        // Three endpoints with four BARs each: every one either decodes or is refused.
        Assert.Equal(12, board.Map.Memory.Count + board.Map.Io.Count + board.Map.Refused.Count);
    }

    [Fact]
    public void The_map_told_through_changes_alone_is_the_map_computed_afresh()
    {
        Prop.ForAll(Accesses.ListOf(150).ToArbitrary(), accesses =>
        {
            Board board = new();
            DecodeMap lazy = board.Map;
            DecodeMap eager = board.Map;
            board.Sink.Then = (_, change) =>
            {
                eager = board.Hierarchy.ComputeDecode(board.Limits, eager);
                if ((change & ConfigChange.DecodeMap) != 0)
                {
                    lazy = board.Hierarchy.ComputeDecode(board.Limits, lazy);
                }

                Assert.Equal(eager.Memory, lazy.Memory);
                Assert.Equal(eager.Io, lazy.Io);
            };
            foreach (Access access in accesses)
            {
                board.Do(access);
            }
        }).Holds();
    }

    [Fact]
    public void Writes_to_a_plain_endpoint_change_only_the_bits_the_header_lets_be_written()
    {
        // The header of a function with a 1 MiB memory BAR, a 256-port BAR, a 64 GiB BAR and a 64 KiB ROM, written down by hand.
        uint[] writable =
        [
            0, 0x0000_0547, 0, 0x0000_00FF, 0xFFF0_0000, 0xFFFF_FF00, 0x0000_0000, 0xFFFF_FFF0,
            0, 0, 0, 0, 0xFFFF_0001, 0, 0, 0x0000_00FF,
        ];
        Gen<(int, int, uint)> writes =
            from offset in Gen.Choose(-2, 260)
            from size in Gen.Elements(1, 2, 4)
            from value in Gen.Choose(int.MinValue, int.MaxValue)
            select (offset, size, (uint)value);
        Prop.ForAll(writes.ListOf(80).ToArbitrary(), steps =>
        {
            PciFunction function = Build.Function("plain", ConfigSpace.ConventionalSize);
            function.AddBar(0, BarKind.Memory32, 0x10_0000);
            function.AddBar(1, BarKind.Io, 0x100);
            function.AddBar(2, BarKind.Memory64Prefetchable, 0x10_0000_0000);
            function.AddBar(BarKinds.RomIndex, BarKind.Rom, 0x1_0000);
            byte[] model = [.. Enumerable.Range(0, 256).Select(at => (byte)function.ReadConfig(at, 1))];
            foreach ((int offset, int size, uint value) in steps)
            {
                function.WriteConfig(offset, size, value);
                for (int i = 0; i < size; i++)
                {
                    int at = offset + i;
                    if (offset >= 0 && at < 64)
                    {
                        byte mask = (byte)(writable[at / 4] >> (8 * (at % 4)));
                        model[at] = (byte)((model[at] & ~mask) | ((int)(value >> (8 * i)) & mask));
                    }
                }
            }

            Assert.Equal(model, Enumerable.Range(0, 256).Select(at => (byte)function.ReadConfig(at, 1)));
        }).Holds();
    }
}
