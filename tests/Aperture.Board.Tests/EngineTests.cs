using Aperture.Board.Tests.Fakes;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Boards;

namespace Aperture.Board.Tests;

/// <summary>The engine under a platform that is no PC: RAM from 1 GiB on, ECAM at an address that no register moves, four interrupt inputs, no ports.</summary>
public sealed class EngineTests : IDisposable
{
    private const ulong RamStart = 1UL << 30;
    private const ulong EcamStart = 0x40_1000_0000;
    private const ulong Window = 0x1000_0000;
    private readonly List<string> _order = [];
    private readonly FakePlatform _platform;
    private readonly PciBoard _board;
    private readonly TestCpu _cpu;

    public EngineTests()
    {
        PlacementMap map = PlacementSolver.Solve(new PlacementRequest(PlatformLimits.Q35(64 << 20, 46), [new HostBridgeDemand("pcie.0", [])])).Require();
        TestTree tree = new(BoardKind.Q35, [TestOption.Parse("--device test,id=a,addr=05.0,bar0=mem32:4K:trap")]);
        FakePlatform? platform = null;
        _board = new PciBoard(new BoardParts(map, tree.Nodes, new NoMessages(), NoEvents.Instance), site => platform = new FakePlatform(site, _order));
        _platform = platform!;
        _cpu = new TestCpu(_board);
    }

    [Fact]
    public void A_change_brings_every_part_up_to_date_once_in_the_order_of_the_list_and_the_BARs_last_and_one_of_a_devices_BARs_those_alone()
    {
        _order.Clear();
        WriteCommand(PciCommand.MemorySpace);
        Assert.Equal(["limits"], _order);
        _order.Clear();
        _board.Apply();
        _board.Reset();
        Assert.Equal(["ram", "ecam", "limits", "reset", "ram", "ecam", "limits"], _order);
    }

    [Fact]
    public void A_BAR_decodes_in_the_platforms_window_and_its_region_is_known_for_it()
    {
        WriteBar(Window);
        WriteCommand(PciCommand.MemorySpace);
        Bar bar = _board.Pci.Functions.Single(f => f.Name == "a").FindBar(0)!;
        Assert.Equal(new AddressRange(new GuestAddress(Window), 4096), _board.Decode.Find(bar));
        FlatView view = _board.Memory.View;
        Assert.Same(bar, _board.OwnerOf(view.Ranges[view.IndexOf(new GuestAddress(Window))].Region)?.Bar);
        Assert.Null(_board.OwnerOf(view.Ranges[view.IndexOf(new GuestAddress(EcamStart))].Region));
        WriteBar(RamStart);
        Assert.Null(_board.Decode.Find(bar));
    }

    [Fact]
    public void INTx_arrives_at_the_input_that_the_platforms_wiring_says()
    {
        _board.Pci.Functions.Single(f => f.Name == "a").SetIntx(true);
        Assert.Equal([false, true, false, false], _platform.Lines.Select(l => l.Level));
    }

    [Fact]
    public void A_taken_out_function_leaves_neither_region_nor_interrupt_behind()
    {
        WriteBar(Window);
        WriteCommand(PciCommand.MemorySpace);
        PciFunction function = _board.Pci.Functions.Single(f => f.Name == "a");
        function.SetIntx(true);
        FlatView view = _board.Memory.View;
        Region region = view.Ranges[view.IndexOf(new GuestAddress(Window))].Region;
        _board.Unplug(function);
        Assert.Null(_board.OwnerOf(region));
        Assert.True(_board.Memory.View.IndexOf(new GuestAddress(Window)) < 0);
        Assert.DoesNotContain(_platform.Lines, l => l.Level);
    }

    [Fact]
    public void A_function_whose_leaving_the_host_cannot_follow_is_off_the_board_and_given_back_all_the_same()
    {
        PciFunction function = new("b", new PciIdentity(0x1234, 0x5678, 0xFF_0000));
        function.SetInterruptPin(1);
        Bar bar = function.AddBar(0, BarKind.Memory32, 4096);
        using RamBlock block = RamBlock.Create("b", 4096);
        Region region = Region.ForRam("b", block, 0, 4096);
        Owned owned = new();
        _board.Plug(_board.Pci.Root, new DeviceNode("b", 6 << 3, _ => new MadeFunction(function, [new BarRegion(bar, region, 0)], [owned])));
        _cpu.MmioWrite(new GuestAddress(EcamStart + (6 << 15) + 0x10), 4, Window);
        _cpu.MmioWrite(new GuestAddress(EcamStart + (6 << 15) + 4), 2, (ulong)PciCommand.MemorySpace);
        function.SetIntx(true);
        Assert.NotNull(_board.OwnerOf(region));
        _board.Memory.AddListener(new RefusingListener());
        Assert.Equal("no", Assert.Throws<ApertureException>(() => _board.Unplug(function)).Message);
        Assert.DoesNotContain(_board.Pci.Functions, f => f.Name == "b");
        Assert.True(_board.Memory.View.IndexOf(new GuestAddress(Window)) < 0);
        Assert.Null(_board.OwnerOf(region));
        Assert.DoesNotContain(_platform.Lines, l => l.Level);
        Assert.Equal(1, owned.Disposals);
    }

    public void Dispose() => _board.Dispose();

    private void WriteCommand(PciCommand command) => _cpu.MmioWrite(new GuestAddress(EcamStart + (5 << 15) + 4), 2, (ulong)command);

    private void WriteBar(ulong address) => _cpu.MmioWrite(new GuestAddress(EcamStart + (5 << 15) + 0x10), 4, address);

    private sealed class Owned : IDisposable
    {
        public int Disposals { get; private set; }

        public void Dispose() => Disposals++;
    }

    // Takes the view that there is, and then nothing.
    private sealed class RefusingListener : IFlatViewListener
    {
        private bool _began;

        public void Commit(FlatView old, FlatView next, FlatViewDiff diff)
        {
            if (_began)
            {
                throw new ApertureException("no");
            }

            _began = true;
        }
    }

    private sealed class NoMessages : IMsiSink
    {
        public void Send(Bdf requester, MsiMessage message)
        {
        }
    }

    private sealed class FakePlatform : IPlatform, IChipset, IIntxWiring
    {
        private readonly RamBlock _ram = RamBlock.Create("ram", 64 << 20);
        private readonly List<string> _order;
        private readonly DecodeLimits _limits;

        public FakePlatform(BoardSite site, List<string> order)
        {
            _order = order;
            AddressRange ram = new(new GuestAddress(RamStart), _ram.Size);
            Ram = [ram];
            Ecam = new AddressRange(new GuestAddress(EcamStart), 256 << 20);
            Lines = [new(), new(), new(), new()];
            _limits = new DecodeLimits([new AddressRange(new GuestAddress(Window), 0x3000_0000), ram], [], [new DecodeObstacle(ram, "guest RAM")]);
            Map =
            [
                new Part("ram", order, Region.ForRam("ram", _ram, 0, _ram.Size), ram.Start, RegionPriority.Ram),
                new Part("ecam", order, Region.Trapped("ecam", 256 << 20, new EcamMechanism(site.Pci)), Ecam.Value.Start, RegionPriority.Ecam),
            ];
        }

        public FakeLine[] Lines { get; }

        public IChipset Chipset => this;

        public IIntxWiring Intx => this;

        public IReadOnlyList<IMapPart> Map { get; }

        public IReadOnlyList<AddressRange> Ram { get; }

        public bool HasFirmware => false;

        public bool IsExpress => true;

        public IReadOnlyList<BoardNode> Functions => [];

        public AddressRange? Ecam { get; }

        // The BARs ask for the limits, and only they.
        public DecodeLimits Limits
        {
            get
            {
                _order.Add("limits");
                return _limits;
            }
        }

        public uint GsiOf(int device, int pin) => (uint)(32 + ((device + pin) & 3));

        public IInterruptLine LineOf(uint gsi) => Lines[gsi - 32];

        public bool Routes(PciFunction function) => false;

        public void Place(MapChange change)
        {
        }

        public void Program(PlacementMap map)
        {
        }

        public void ProgramEcam(PlacementMap map)
        {
        }

        public void Reset() => _order.Add("reset");

        public void Dispose() => _ram.Dispose();
    }

    private sealed class Part(string name, List<string> order, Region region, GuestAddress start, int priority) : IMapPart
    {
        private bool _placed;

        public void Update(MapChange change)
        {
            order.Add(name);
            if (!_placed)
            {
                change.Memory.Place(region, start, priority);
                _placed = true;
            }
        }
    }
}
