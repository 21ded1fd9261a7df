using Aperture.Board.Pc;
using Aperture.Devices.Pc;
using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.TestKit.Parts.Boards;

namespace Aperture.Board.Tests.Fakes;

/// <summary>A board from a few options of the command line; what they are is read by <see cref="TestTree"/>.</summary>
internal sealed class TestBoard : BoardHarness
{
    private TestBoard(BoardSetup setup)
        : base(setup, static board => new TestCpu(board))
    {
        if (setup.Direct)
        {
            PciProgrammer.Program(Board, Map);
        }
    }

    /// <summary>As after direct boot: everything programmed. Each option is <c>--name value</c>.</summary>
    public static TestBoard Direct(params string[] options) => new(Setup(NoEvents.Instance, options) with { Direct = true });

    /// <summary>As a firmware image finds it: reset state.</summary>
    public static TestBoard Raw(params string[] options) => new(Setup(NoEvents.Instance, options));

    /// <summary>As a firmware image finds it, with pins in force from <paramref name="pins"/> on and its events written to <paramref name="events"/>.</summary>
    public static TestBoard UnderFirmware(PinTiming pins, IEventSink events, params string[] options) => new(Setup(events, options) with { Pins = pins });

    /// <summary>As a firmware image finds it, with system management mode and perhaps a flash bank.</summary>
    public static TestBoard Managed(VariableBank? variables, params string[] options) =>
        new(Setup(NoEvents.Instance, options) with { HasManagementMode = true, Variables = variables });

    /// <summary>Direct, with its events written to <paramref name="events"/>.</summary>
    public static TestBoard WithEvents(RecordedEvents events, params string[] options) => new(Setup(events, options) with { Direct = true });

    private static BoardSetup Setup(IEventSink events, string[] options)
    {
        TestOption[] parsed = [.. options.Select(TestOption.Parse)];
        BoardKind kind = parsed.Any(o => o is { Name: "--machine", Kind: "i440fx" }) ? BoardKind.I440Fx : BoardKind.Q35;
        string? memory = parsed.Where(o => o.Name == "--memory").Select(o => o.Kind).FirstOrDefault();
        ulong size = ByteSize.TryParse(memory ?? "512M", out ulong asked) ? asked : throw new ArgumentException(memory);
        ushort[] exits = [.. parsed.Where(o => o is { Name: "--device", Kind: "debug-exit" }).Select(o => Convert.ToUInt16(o["port"] ?? "0xf4", 16))];
        TestTree tree = new(kind, parsed);
        PlatformLimits board = kind == BoardKind.Q35 ? PlatformLimits.Q35(size, AddressBits) : PlatformLimits.I440fx(size, AddressBits);
        PlatformLimits limits = board with
        {
            Reserved = [.. PlatformLimits.Q35Reserved, HypervisorPages],
            ReservedIo = [.. exits.Select(p => new ReservedRange(new AddressRange(new GuestAddress(p), DebugExit.Length), $"debug-exit at 0x{p:x}"))],
        };
        PlacementMap map = PlacementSolver.Solve(new PlacementRequest(limits, [new HostBridgeDemand("pcie.0", tree.Demands)])).Require();
        return new BoardSetup(map, tree.Nodes, events) { Kind = kind, DebugExits = exits };
    }
}
