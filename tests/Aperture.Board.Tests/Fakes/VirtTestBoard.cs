using Aperture.Board.Virt;
using Aperture.Devices.Serial;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;
using Aperture.Placement.Request;
using Aperture.TestKit.Devices;
using Aperture.TestKit.Parts.Boards;

namespace Aperture.Board.Tests.Fakes;

/// <summary>
/// A machine of Arm's kind from a few options of the command line, programmed as for direct boot; reached as its guest reaches it, by memory alone.
/// </summary>
internal sealed class VirtTestBoard : IDisposable, IMsiSink, ISerialBackend
{
    public const int AddressBits = 44;

    private LookupCache _cache;

    public VirtTestBoard(params string[] options)
        : this(TimeProvider.System, AddressBits, options)
    {
    }

    public VirtTestBoard(TimeProvider clock, int addressBits, params string[] options)
    {
        TestTree tree = new(BoardKind.Virt, [.. options.Select(TestOption.Parse)]);
        PlatformLimits limits = PlatformLimits.Virt(64UL << 20, addressBits);
        HostBridgeDemand bridge = new("pcie.0", tree.Demands) { LastBus = (byte)((limits.Ecam!.Size >> 20) - 1) };
        Map = PlacementSolver.Solve(new PlacementRequest(limits, [bridge])).Require();
        Ram = GuestRam.Create([.. Map.Ram.Pieces]);
        Virt = new VirtBoard(new BoardParts(Map, tree.Nodes, this, NoEvents.Instance), new VirtParts(Ram, Line, clock) { Serial = this });
        Slots = new SlotListener(Host);
        Board.Memory.AddListener(Slots);
        PciProgrammer.Program(Board, Map);
    }

    public PlacementMap Map { get; }

    public GuestRam Ram { get; }

    public VirtBoard Virt { get; }

    public PciBoard Board => Virt.Board;

    public FakeSlots Host { get; } = new();

    public SlotListener Slots { get; }

    public Dictionary<uint, FakeLine> Lines { get; } = [];

    public List<(Bdf Requester, MsiMessage Message)> Messages { get; } = [];

    public List<byte> Sent { get; } = [];

    public PciFunction Function(string name) => Board.Pci.Functions.First(f => f.Name == name);

    public ulong Load(ulong address, int size = 4)
    {
        Board.MemoryDispatcher.Read(ref _cache, new GuestAddress(address), size, out ulong value);
        return value & AccessWidth.AllOnes(size);
    }

    public void Store(ulong address, ulong value, int size = 4) => Board.MemoryDispatcher.Write(ref _cache, new GuestAddress(address), size, value);

    /// <summary>Where a register of a function is in the ECAM window.</summary>
    public ulong Config(Bdf place, int offset) => Map.Ecam!.Value.Start.Value + ((ulong)place.RoutingId << 12) + (ulong)offset;

    public uint Read(string name, int offset, int size = 4) => (uint)Load(Config(Function(name).Bdf, offset), size);

    public void Write(string name, int offset, uint value, int size = 4) => Store(Config(Function(name).Bdf, offset), value, size);

    public ulong BarAt(string name, int bar) => Function(name).FindBar(bar)!.Programmed.Value;

    void IMsiSink.Send(Bdf requester, MsiMessage message) => Messages.Add((requester, message));

    void ISerialBackend.Write(byte value) => Sent.Add(value);

    public void Dispose()
    {
        Virt.Dispose();
        Ram.Dispose();
    }

    private FakeLine Line(uint spi)
    {
        if (!Lines.TryGetValue(spi, out FakeLine? line))
        {
            Lines.Add(spi, line = new FakeLine());
        }

        return line;
    }
}
