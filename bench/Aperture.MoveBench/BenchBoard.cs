using Aperture.Board;
using Aperture.Board.Pc;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Ports;
using Aperture.Pci.Registers;
using Aperture.Placement;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;

namespace Aperture.MoveBench;

/// <summary>
/// A Q35 board without a hypervisor, with as many BARs as asked for below one bridge after the other, six 4 KiB ones a function, placed one after the other;
/// and one more function, whose BAR moves: 1 MiB, backed by memory.
/// </summary>
internal sealed class BenchBoard : IMachineControl, IMsiSink, IEventSink, IInterruptLine, IAccessHandler, IMemorySlotBackend, IDisposable
{
    public const int BarsPerFunction = 6;

    private const int AddressBits = 46;
    private const int FunctionsPerBus = 256;
    private const uint BarSize = 0x1000;
    private const uint WindowSize = FunctionsPerBus * BarsPerFunction * BarSize;
    private const uint FirstBar = 0x4000_0000;
    private const byte FirstBridge = 0x20;
    private static readonly PciIdentity Identity = new(0x1234, 0x5678, 0xFF0000);

    private readonly GuestRam _ram;
    private readonly RamBlock _firmware = RamBlock.Create("firmware", 0x2_0000);
    private readonly RamBlock _memory = RamBlock.Create("mover", 0x10_0000);
    private readonly PcBoard _pc;
    private readonly List<PciFunction> _functions = [];

    public BenchBoard(int bars)
    {
        PlatformLimits limits = PlatformLimits.Q35(64 << 20, AddressBits);
        List<FunctionDemand> chipset = [.. Boards.Places(BoardKind.Q35).Select(p => new FunctionDemand(p.Name, p.DeviceFunction, []))];
        var map = PlacementSolver.Solve(new PlacementRequest(limits, [new HostBridgeDemand("pcie.0", chipset)])).Require();
        _ram = GuestRam.Create(RamLayout.Planned(map.Ram));
        _pc = new PcBoard(new BoardParts(map, [], this, this), new PcParts(_ram, AddressBits, _ => this, this, TimeProvider.System) { Firmware = _firmware });
        _pc.Board.Memory.AddListener(new SlotListener(this));
        Mover = _pc.Board.Plug(_pc.Board.Pci.Root, new DeviceNode("mover", 0x10, _ => MakeMover()));
        for (int made = 0; made < bars; made += BarsPerFunction)
        {
            PlugOne(made / BarsPerFunction);
        }
    }

    public PciFunction Mover { get; }

    public PciBoard Board => _pc.Board;

    public bool Enabled => false;

    public TimeSpan Elapsed => TimeSpan.Zero;

    public int MaxSlots => 509;

    /// <summary>Enables decoding of all functions but the mover, one after the other.</summary>
    public void EnableAll()
    {
        foreach (PciFunction function in _functions)
        {
            Board.Pci.ConfigWrite(function.Bdf, PciRegisters.Command, 2, (uint)PciCommand.MemorySpace);
        }
    }

    /// <summary>Moves the BAR as a guest does: decode off, both halves of the address, decode on.</summary>
    public void Move(ulong address)
    {
        Board.Pci.ConfigWrite(Mover.Bdf, PciRegisters.Command, 2, 0);
        Board.Pci.ConfigWrite(Mover.Bdf, PciRegisters.Bar0, 4, (uint)address);
        Board.Pci.ConfigWrite(Mover.Bdf, PciRegisters.Bar0 + 4, 4, (uint)(address >> 32));
        Board.Pci.ConfigWrite(Mover.Bdf, PciRegisters.Command, 2, (uint)PciCommand.MemorySpace);
        int run = Board.Memory.View.IndexOf(new GuestAddress(address));
        if (run < 0 || Board.Memory.View.Ranges[run].Region.Name != "mover")
        {
            throw new InvalidOperationException($"the BAR is not at 0x{address:x}");
        }
    }

    public void Dispose()
    {
        _pc.Dispose();
        _firmware.Dispose();
        _memory.Dispose();
        _ram.Dispose();
    }

    public void Request(MachineRequest request, int exitCode, string reason)
    {
    }

    public void Send(Bdf requester, MsiMessage message)
    {
    }

    public void Write(string kind, Action<System.Text.Json.Utf8JsonWriter>? fields = null)
    {
    }

    public void Notice(string kind, string sentence, Action<System.Text.Json.Utf8JsonWriter>? fields = null)
    {
    }

    public void Set(bool asserted)
    {
    }

    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = 0;
        return AccessResult.Ok;
    }

    public AccessResult Write(ulong offset, int size, ulong value) => AccessResult.Ok;

    public int Set(int id, in MemorySlot slot) => 0;

    public int Delete(int id) => 0;

    private MadeFunction MakeMover()
    {
        PciFunction function = new("mover", Identity);
        Bar bar = function.AddBar(0, BarKind.Memory64Prefetchable, _memory.Size);
        return new MadeFunction(function, [new BarRegion(bar, Region.ForRam("mover", _memory, 0, _memory.Size))], []);
    }

    private void PlugOne(int number)
    {
        int index = number / FunctionsPerBus;
        string name = $"f{number}";
        PciBridge bridge = number % FunctionsPerBus == 0 ? PlugBridge(index) : (PciBridge)Board.Pci.Root.Find((byte)(FirstBridge + (index << 3)))!;
        PciFunction function = Board.Plug(bridge.Secondary, new DeviceNode(name, (byte)number, _ =>
        {
            PciFunction made = new(name, Identity, ConfigSpace.ConventionalSize);
            return new MadeFunction(made, [.. Enumerable.Range(0, BarsPerFunction).Select(bar => Behind(made, bar))], []);
        }));
        _functions.Add(function);
        for (int bar = 0; bar < BarsPerFunction; bar++)
        {
            function.ProgramBar(bar, new GuestAddress(FirstBar + ((ulong)((number * BarsPerFunction) + bar) * BarSize)));
        }
    }

    private BarRegion Behind(PciFunction function, int bar) =>
        new(function.AddBar(bar, BarKind.Memory32, BarSize), Region.Trapped($"{function.Name} bar{bar}", BarSize, this));

    private PciBridge PlugBridge(int index)
    {
        PciBridge bridge = new($"bridge{index}", Identity with { ClassCode = PciIdentity.BridgeClass });
        Board.Plug(Board.Pci.Root, new DeviceNode(bridge.Name, (byte)(FirstBridge + (index << 3)), _ => new MadeFunction(bridge)));
        bridge.ProgramBusNumbers(0, (byte)(index + 1), (byte)(index + 1));
        bridge.ProgramWindow(BridgeWindow.Memory, new AddressRange(new GuestAddress(FirstBar + ((ulong)index * WindowSize)), WindowSize));
        bridge.ProgramCommand(PciCommand.MemorySpace, PciCommand.MemorySpace);
        return bridge;
    }
}
