using Aperture.Board;
using Aperture.Board.Pc;
using Aperture.Firmware.FwCfg;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.TestKit.Devices;

namespace Aperture.TestKit.Parts.Boards;

/// <summary>What a harness builds its PC from.</summary>
public sealed record BoardSetup(PlacementMap Map, IReadOnlyList<BoardNode> Root, IEventSink Events)
{
    /// <summary>As after direct boot: everything programmed. Else as a firmware image finds it.</summary>
    public bool Direct { get; init; }

    public BoardKind Kind { get; init; }

    public PinTiming Pins { get; init; }

    public IReadOnlyList<ushort> DebugExits { get; init; } = [];

    /// <summary>With system management mode.</summary>
    public bool HasManagementMode { get; init; }

    /// <summary>The firmware's flash, which ends with the board.</summary>
    public VariableBank? Variables { get; init; }
}

/// <summary>A PC with fakes at its edges: a slot table with KVM's rules, interrupt lines, a message sink, machine control.</summary>
public abstract class BoardHarness : IDisposable, IMachineControl, IMsiSink
{
    public const int AddressBits = 46;

    /// <summary>What a hypervisor keeps for itself.</summary>
    public static readonly ReservedRange HypervisorPages = new(new AddressRange(new GuestAddress(0xFEFF_C000), 0x4000), "the pages that KVM keeps for itself");

    private readonly VariableBank? _variables;
    private readonly PinTiming _pins;

    protected BoardHarness(BoardSetup setup, Func<PciBoard, ITestCpu> cpu)
    {
        Map = setup.Map;
        _pins = setup.Pins;
        Ram = GuestRam.Create(RamLayout.Planned(Map.Ram));
        Firmware = setup.Direct ? null : RamBlock.Create("firmware", 0x2_0000);
        _variables = setup.Variables;
        BoardParts parts = new(Map, setup.Root, this, setup.Events) { Pins = setup.Pins };
        Pc = new PcBoard(parts, new PcParts(Ram, AddressBits, Line, this, TimeProvider.System)
        {
            Kind = setup.Kind,
            Firmware = Firmware,
            Variables = _variables,
            DebugExitPorts = setup.DebugExits,
            Management = setup.HasManagementMode ? new ManagementMode(Smis.Add, Features) : null,
            Reserved = [HypervisorPages],
        });
        Slots = new SlotListener(Host);
        Board.Memory.AddListener(Slots);
        Management?.AddListener(ManagementSlots = new SlotListener(ManagementHost));
        Cpu = cpu(Board);
    }

    public PlacementMap Map { get; }

    public GuestRam Ram { get; }

    public RamBlock? Firmware { get; }

    public PcBoard Pc { get; }

    public PciBoard Board => Pc.Board;

    public FakeSlots Host { get; } = new();

    public SlotListener Slots { get; }

    /// <summary>Pins are in force: they always are, or the operating system has the machine, which register 0x51c tells.</summary>
    public bool PinsHold => _pins == PinTiming.Always || (Cpu.PortRead(0x51C, 4) & uint.MaxValue) == 1;

    /// <summary>What system management mode sees; null without that mode.</summary>
    public OverlaidMemory? Management => Pc.Management;

    /// <summary>Its slots at the hypervisor.</summary>
    public FakeSlots ManagementHost { get; } = new();

    public SlotListener? ManagementSlots { get; }

    /// <summary>The SMIs that were raised: true at every processor.</summary>
    public List<bool> Smis { get; } = [];

    /// <summary>What firmware and machine agreed on about SMIs.</summary>
    public SmiFeatures Features { get; } = new();

    public Dictionary<uint, FakeLine> Lines { get; } = [];

    public List<(Bdf Requester, MsiMessage Message)> Messages { get; } = [];

    public List<(MachineRequest Kind, int Code)> Requests { get; } = [];

    public ITestCpu Cpu { get; }

    public void Request(MachineRequest request, int exitCode, string reason) => Requests.Add((request, exitCode));

    public void Send(Bdf requester, MsiMessage message) => Messages.Add((requester, message));

    public PciFunction Function(string name) => Board.Pci.Functions.First(f => f.Name == name);

    public ulong BarAt(string name, int bar) => Function(name).FindBar(bar)!.Programmed.Value;

    public uint Read(Bdf place, int offset, int size = 4)
    {
        Cpu.PortWrite(0xCF8, 4, 0x8000_0000 | (uint)place.RoutingId << 8 | (uint)(offset & 0xFC));
        return (uint)(Cpu.PortRead((ushort)(0xCFC + (offset & 3)), size) & AccessWidth.AllOnes(size));
    }

    public uint Read(string name, int offset, int size = 4) => Read(Function(name).Bdf, offset, size);

    public void Write(Bdf place, int offset, int size, uint value)
    {
        Cpu.PortWrite(0xCF8, 4, 0x8000_0000 | (uint)place.RoutingId << 8 | (uint)(offset & 0xFC));
        Cpu.PortWrite((ushort)(0xCFC + (offset & 3)), size, value);
    }

    public void Write(string name, int offset, uint value, int size = 4) => Write(Function(name).Bdf, offset, size, value);

    /// <summary>Programs a BAR and, for 64-bit ones, its upper half.</summary>
    public void SetBar(string name, int bar, ulong address)
    {
        Write(name, 0x10 + (4 * bar), (uint)address);
        if (Function(name).FindBar(bar)!.Kind.Is64Bit())
        {
            Write(name, 0x14 + (4 * bar), (uint)(address >> 32));
        }
    }

    /// <summary>What the operating system's _INI of the host bridge does.</summary>
    public void TakeOver() => Cpu.PortWrite(0x51C, 4, 1);

    public void SetCommand(string name, PciCommand command) => Write(name, 4, (uint)command, 2);

    public ulong Load(ulong address, int size = 4) => Cpu.MmioRead(new GuestAddress(address), size) & AccessWidth.AllOnes(size);

    public void Store(ulong address, ulong value, int size = 4) => Cpu.MmioWrite(new GuestAddress(address), size, value);

    /// <summary>The name of what answers at <paramref name="address"/>, or null.</summary>
    public string? Answers(ulong address)
    {
        FlatView view = Board.Memory.View;
        int index = view.IndexOf(new GuestAddress(address));
        return index < 0 ? null : view.Ranges[index].Region.Name;
    }

    public virtual void Dispose()
    {
        Pc.Dispose();
        _variables?.Dispose();
        Firmware?.Dispose();
        Ram.Dispose();
        GC.SuppressFinalize(this);
    }

    private FakeLine Line(uint gsi)
    {
        if (!Lines.TryGetValue(gsi, out FakeLine? line))
        {
            Lines.Add(gsi, line = new FakeLine());
        }

        return line;
    }
}
