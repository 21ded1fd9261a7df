using Aperture.Board;
using Aperture.Board.Pc;
using Aperture.Configuration;
using Aperture.Host.Model;
using Aperture.Hypervisor;
using Aperture.Machine.Functions;
using Aperture.Machine.Topology;
using Aperture.Placement;
using Aperture.TestKit.Parts.Boards;
using Aperture.Watch;

namespace Aperture.Machine.Tests.Fakes;

/// <summary>A board from command-line options, as the machine reads them, with fakes at its edges.</summary>
internal sealed class TestBoard : BoardHarness
{
    private TestBoard(BoardSetup setup, MachineConfig config, BoardNodes nodes, EventHub events)
        : base(setup, static board => new BusCpu(new CpuBus(board, _ => VcpuAction.Park)))
    {
        (Config, Nodes, Events) = (config, nodes, events);
        Board.Memory.AddListener(new SlotEvents(Slots, events));
        if (setup.Direct)
        {
            PciProgrammer.Program(Board, Map);
        }
    }

    public MachineConfig Config { get; }

    public BoardNodes Nodes { get; }

    public EventHub Events { get; }

    /// <summary>As after direct boot: everything programmed. Each option is <c>--name value</c>.</summary>
    public static TestBoard Direct(params string[] options) => Make(true, null, options);

    /// <summary>As a firmware image finds it: reset state.</summary>
    public static TestBoard Raw(params string[] options) => Make(false, null, options);

    /// <summary>Raw, with <paramref name="variables"/>, which ends with the board.</summary>
    public static TestBoard WithFlash(VariableBank variables, params string[] options) => Make(false, null, options, variables: variables);

    /// <summary>Direct, with devices of <paramref name="host"/> that <paramref name="maker"/> makes.</summary>
    public static TestBoard WithHost(HostMachine host, Func<IEventSink, IFunctionMaker> maker, params string[] options) =>
        Make(true, null, options, host, maker);

    /// <summary>Direct, with its events written to <paramref name="events"/>.</summary>
    public static TestBoard WithEvents(Stream events, params string[] options) => Make(true, events, options);

    private static TestBoard Make(
        bool direct, Stream? stream, string[] options, HostMachine? host = null, Func<IEventSink, IFunctionMaker>? maker = null, VariableBank? variables = null)
    {
        MachineConfig config = ConfigReader.Read(
        [
            direct ? new("--kernel", "unused") : new("--firmware", "unused"),
            .. options.Select(o => o.Split(' ', 2)).Select(o => new Setting(o[0], o[1])),
        ]);
        IReadOnlyList<TopologyNode> root = TopologyBuilder.Build(config, host);
        EventHub events = new(TimeProvider.System);
        if (stream is not null)
        {
            events.Subscribe(EventLog.To(stream));
        }

        BoardNodes nodes = new(maker is null ? [new TestFunctionMaker()] : [maker(events), new TestFunctionMaker()]);
        BoardSetup setup = new(
            PlacementSolver.Solve(PlacementInput.For(config, root, Hypervisors.LimitsOf(AddressBits), host)).Require(), nodes.Of(root), events)
        {
            Direct = direct,
            Kind = config.Board,
            DebugExits = DebugExitPorts.Read(config),
            Variables = variables,
        };
        return new TestBoard(setup, config, nodes, events);
    }

    /// <summary>Accesses by the way that a vCPU's exits take.</summary>
    private sealed class BusCpu(CpuBus bus) : ITestCpu
    {
        public uint PortRead(ushort port, int size) => bus.PortRead(port, size);

        public void PortWrite(ushort port, int size, uint value) => bus.PortWrite(port, size, value);

        public ulong MmioRead(GuestAddress address, int size) => bus.MmioRead(address, size);

        public void MmioWrite(GuestAddress address, int size, ulong value) => bus.MmioWrite(address, size, value);
    }
}
