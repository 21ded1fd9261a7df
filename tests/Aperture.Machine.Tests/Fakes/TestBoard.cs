using Aperture.Devices.Serial;
using Aperture.Host.Model;
using Aperture.Kvm;
using Aperture.Machine.Board;
using Aperture.Machine.Boot;
using Aperture.Configuration;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Watch;

namespace Aperture.Machine.Tests.Fakes;

/// <summary>A board from command-line options with fakes at its edges: a slot table with KVM's rules, interrupt lines, a message sink, machine control.</summary>
internal sealed class TestBoard : IDisposable, IMachineControl, IMsiSink
{
    public const int AddressBits = 46;

    private readonly EventLog _events;
    private readonly CpuBus _bus;

    private TestBoard(bool direct, Stream? events, string[] options, HostMachine? host = null, Func<EventLog, IFunctionMaker>? maker = null)
    {
        Config = ConfigReader.Read(
        [
            direct ? new("--kernel", "unused") : new("--firmware", "unused"),
            .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])),
        ]);
        IReadOnlyList<TopologyNode> root = TopologyBuilder.Build(Config, host);
        Map = PlacementSolver.Solve(PlacementInput.For(Config, root, AddressBits, host)).Require();
        Ram = GuestRam.Create(RamLayout.Planned(Map.Ram));
        Firmware = direct ? null : RamBlock.Create("firmware", 0x2_0000);
        _events = events is null ? EventLog.None : EventLog.To(events, TimeProvider.System);
        Board = new PciBoard(new BoardParts(
            Ram, Firmware, Map, root, AddressBits, Line, this, this, NullSerialBackend.Instance, DebugExitPorts.Read(Config), TimeProvider.System, _events)
        {
            Chipset = Chipsets.For(Config.Board),
            Makers = maker is null ? [] : [maker(_events)],
        });
        Slots = new SlotListener(Host);
        Board.Memory.AddListener(Slots);
        Board.Memory.AddListener(new SlotEvents(Slots, _events));
        _bus = new CpuBus(Board, _ => VcpuAction.Park);
        if (direct)
        {
            PciProgrammer.Program(Board, Map);
        }
    }

    public MachineConfig Config { get; }

    public EventLog Events => _events;

    public PlacementMap Map { get; }

    public GuestRam Ram { get; }

    public RamBlock? Firmware { get; }

    public PciBoard Board { get; }

    public FakeSlots Host { get; } = new();

    public SlotListener Slots { get; }

    public Dictionary<uint, FakeLine> Lines { get; } = [];

    public List<(Bdf Requester, MsiMessage Message)> Messages { get; } = [];

    public List<(MachineRequest Kind, int Code)> Requests { get; } = [];

    public CpuBus Cpu => _bus;

    /// <summary>As after direct boot: everything programmed. Each option is <c>--name value</c>.</summary>
    public static TestBoard Direct(params string[] options) => new(true, null, options);

    /// <summary>As a firmware image finds it: reset state.</summary>
    public static TestBoard Raw(params string[] options) => new(false, null, options);

    /// <summary>Direct, with devices of <paramref name="host"/> that <paramref name="maker"/> makes.</summary>
    public static TestBoard WithHost(HostMachine host, Func<EventLog, IFunctionMaker> maker, params string[] options) => new(true, null, options, host, maker);

    /// <summary>Direct, with its events written to <paramref name="events"/>.</summary>
    public static TestBoard WithEvents(Stream events, params string[] options) => new(true, events, options);

    public void Request(MachineRequest request, int exitCode, string reason) => Requests.Add((request, exitCode));

    public void Send(Bdf requester, MsiMessage message) => Messages.Add((requester, message));

    public PciFunction Function(string name) => Board.Pci.Functions.First(f => f.Name == name);

    public ulong BarAt(string name, int bar) => Function(name).FindBar(bar)!.Programmed.Value;

    public uint Read(Bdf place, int offset, int size = 4)
    {
        _bus.PortWrite(0xCF8, 4, 0x8000_0000 | (uint)place.RoutingId << 8 | (uint)(offset & 0xFC));
        return (uint)(_bus.PortRead((ushort)(0xCFC + (offset & 3)), size) & AccessWidth.AllOnes(size));
    }

    public uint Read(string name, int offset, int size = 4) => Read(Function(name).Bdf, offset, size);

    public void Write(Bdf place, int offset, int size, uint value)
    {
        _bus.PortWrite(0xCF8, 4, 0x8000_0000 | (uint)place.RoutingId << 8 | (uint)(offset & 0xFC));
        _bus.PortWrite((ushort)(0xCFC + (offset & 3)), size, value);
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

    public void SetCommand(string name, PciCommand command) => Write(name, 4, (uint)command, 2);

    public ulong Load(ulong address, int size = 4) => _bus.MmioRead(new GuestAddress(address), size) & AccessWidth.AllOnes(size);

    public void Store(ulong address, ulong value, int size = 4) => _bus.MmioWrite(new GuestAddress(address), size, value);

    /// <summary>The name of what answers at <paramref name="address"/>, or null.</summary>
    public string? Answers(ulong address)
    {
        FlatView view = Board.Memory.View;
        int index = view.IndexOf(new GuestAddress(address));
        return index < 0 ? null : view.Ranges[index].Region.Name;
    }

    public void Dispose()
    {
        Board.Dispose();
        _events.Dispose();
        Firmware?.Dispose();
        Ram.Dispose();
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
