using Aperture.Devices;
using Aperture.Machine.Events;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement;

namespace Aperture.Machine.Board;

/// <summary>What a board is built around: the parts that come from outside.</summary>
/// <param name="Ram">Guest RAM.</param>
/// <param name="Firmware">The firmware image, or null under direct boot.</param>
/// <param name="Map">Where everything goes.</param>
/// <param name="Root">The functions on the root bus.</param>
/// <param name="PhysicalAddressBits">The guest's physical address width.</param>
/// <param name="Line">The interrupt controller's input for a global system interrupt.</param>
/// <param name="Messages">Takes message signalled interrupts.</param>
/// <param name="Control">Takes the guest's requests for reset and power-off.</param>
/// <param name="Serial">Where the first serial port's output goes.</param>
/// <param name="DebugExitPorts">Ports of debug-exit devices.</param>
/// <param name="Clock">Time.</param>
/// <param name="Events">What happens is reported here.</param>
internal sealed record BoardParts(
    GuestRam Ram,
    RamBlock? Firmware,
    PlacementMap Map,
    IReadOnlyList<TopologyNode> Root,
    int PhysicalAddressBits,
    Func<uint, IInterruptLine> Line,
    IMsiSink Messages,
    IMachineControl Control,
    ISerialBackend Serial,
    IReadOnlyList<ushort> DebugExitPorts,
    TimeProvider Clock,
    EventLog Events);

/// <summary>
/// A Q35 with ICH9: the address spaces, the chipset's functions, the PCI tree and the legacy devices. Knows nothing of a hypervisor: it answers accesses
/// and keeps its two flat views at what the registers say.
/// </summary>
internal sealed class Q35Board : IConfigWriteSink, IDisposable
{
    private const uint SciInterrupt = 9;
    private readonly BoardParts _parts;
    private readonly LegacyRouting _legacy;
    private readonly BarMapper _bars;
    private readonly ConfigWriteEvents _writes;
    private readonly List<IResettable> _resettable = [];
    private readonly List<IDisposable> _disposable = [];
    private Region? _ecam;
    private PciExBar _ecamApplied;
    private DecodeLimits _limits;

    /// <summary>Builds the board in its reset state.</summary>
    public Q35Board(BoardParts parts)
    {
        _parts = parts;
        Pci = new PciHierarchy(this, parts.Messages);
        Hub = new MemoryControllerHub();
        _legacy = new LegacyRouting(parts.Ram.Block, parts.Firmware);
        _bars = new BarMapper(Pci, parts.Events);
        _writes = new ConfigWriteEvents(parts.Events);
        _limits = BoardLimits.For(parts, ecam: null);
        Unclaimed = new UnclaimedLog(first => ReportUnclaimed("memory", first));
        UnclaimedPorts = new UnclaimedLog(first => ReportUnclaimed("port", first));
        MemoryDispatcher = new Dispatcher(Memory, Unclaimed);
        PortDispatcher = new Dispatcher(Ports, UnclaimedPorts);
        Serial = new Serial16550(parts.Line(4), parts.Serial);
        PowerManagement = new AcpiPmBlock(parts.Clock, parts.Line(SciInterrupt), parts.Control);
        try
        {
            BuildTree();
            PlaceMemory();
            PlacePorts();
            Apply();
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Guest physical memory.</summary>
    public AddressSpace Memory { get; } = AddressSpace.ForMemory();

    /// <summary>I/O ports.</summary>
    public AddressSpace Ports { get; } = AddressSpace.ForPorts();

    /// <summary>Answers memory accesses that exit.</summary>
    public Dispatcher MemoryDispatcher { get; }

    /// <summary>Answers port accesses.</summary>
    public Dispatcher PortDispatcher { get; }

    /// <summary>Memory accesses that nothing answered.</summary>
    public UnclaimedLog Unclaimed { get; }

    /// <summary>Port accesses that nothing answered.</summary>
    public UnclaimedLog UnclaimedPorts { get; }

    /// <summary>The PCI tree.</summary>
    public PciHierarchy Pci { get; }

    /// <summary>The memory controller hub.</summary>
    public MemoryControllerHub Hub { get; }

    /// <summary>The first serial port.</summary>
    public Serial16550 Serial { get; }

    /// <summary>The ACPI block: power button.</summary>
    public AcpiPmBlock PowerManagement { get; }

    /// <summary>What decodes now.</summary>
    public DecodeMap Decode => _bars.Current;

    /// <inheritdoc/>
    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        _writes.Report(function, change, offset, size, value);
        const ConfigChange Map = ConfigChange.DecodeMap | ConfigChange.SecondaryReset | ConfigChange.FunctionReset | ConfigChange.BusNumbers;
        if ((change & Map) != 0 || ((change & ConfigChange.DeviceSpecific) != 0 && function == Hub))
        {
            Apply();
        }
    }

    /// <summary>Brings the address spaces to what the registers say. With the hierarchy's lock, or before vCPUs run.</summary>
    public void Apply()
    {
        using AddressChange memory = Memory.Begin();
        using AddressChange ports = Ports.Begin();
        _legacy.Update(memory, Hub);
        UpdateEcam(memory);
        _bars.Update(memory, ports, _limits);
        ports.Commit();
        memory.Commit();
    }

    /// <summary>Returns every device and register to its state after power-on; with the vCPUs stopped.</summary>
    public void Reset()
    {
        Pci.Reset(ResetKind.Cold);
        foreach (IResettable device in _resettable)
        {
            device.Reset();
        }

        lock (Pci.Sync)
        {
            Apply();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable device in _disposable)
        {
            device.Dispose();
        }

        PowerManagement.Dispose();
        Ports.Dispose();
        Memory.Dispose();
    }

    private void BuildTree()
    {
        ushort slot = 0;
        Add(Pci.Root, _parts.Root, ref slot);
        InterruptRouter router = new(_parts.Line);
        router.Connect(Pci);
    }

    private void Add(PciBus bus, IReadOnlyList<TopologyNode> nodes, ref ushort slot)
    {
        foreach (TopologyNode node in nodes)
        {
            PciFunction function = Make(node, ref slot);
            bus.Add(node.DeviceFunction, function);
            if (function is PciBridge bridge)
            {
                Add(bridge.Secondary, node.Children, ref slot);
            }
        }
    }

    private PciFunction Make(TopologyNode node, ref ushort slot) => node.Kind switch
    {
        NodeKind.Board => node.DeviceFunction == TopologyBuilder.HubPlace ? Hub : new LpcBridge(),
        NodeKind.RootPort => new RootPort(node.Name, ++slot),
        NodeKind.SwitchUpstream => new SwitchUpstreamPort(node.Name),
        NodeKind.SwitchDownstream => new SwitchDownstreamPort(node.Name, ++slot),
        _ => MakeTest(node),
    };

    private TestFunction MakeTest(TopologyNode node)
    {
        HashSet<Region> own = [];
        TestFunction function = new(node.Test!, _ => new DmaPort(Memory, MemoryDispatcher, own.Contains));
        foreach (BarPin pin in node.Pins)
        {
            function.FindBar(pin.Index)?.SetPin(pin.Address);
        }

        foreach (Bar bar in function.Bars)
        {
            Region region = Behind(function, bar);
            own.Add(region);
            _bars.Register(bar, region);
        }

        return function;
    }

    private Region Behind(TestFunction function, Bar bar)
    {
        string name = $"{function.Name}.{bar.Name}";
        if (function.Handler(bar.Index) is { } handler)
        {
            return Region.Trapped(name, bar.Size, handler);
        }

        RamBlock block = RamBlock.Create(name, bar.Size);
        _disposable.Add(block);
        return Region.ForRam(name, block, 0, bar.Size);
    }

    private void PlaceMemory()
    {
        using AddressChange change = Memory.Begin();
        _parts.Ram.Place(change, RegionPriority.Ram);
        LegacyRouting.PlaceVgaWindow(change);
        if (_parts.Firmware is { } firmware)
        {
            change.Place(Region.ForRom("firmware", firmware, 0, firmware.Size, mustBeMapped: true), FirmwareImage.Address(firmware), RegionPriority.Firmware);
        }

        change.Commit();
    }

    private void PlacePorts()
    {
        ConfigPorts config = new(new Cf8Mechanism(Pci), new ResetControl(_parts.Control));
        Port92 port92 = new(_parts.Control);
        I8042Stub keyboard = new(_parts.Control);
        ulong low = _parts.Ram.Low.Size;
        Cmos cmos = new(_parts.Clock, _parts.Line(8), new CmosMemorySize(low, _parts.Ram.High?.Size ?? 0));
        _resettable.AddRange([Serial, PowerManagement, config, port92, keyboard, cmos]);
        _disposable.Add(cmos);
        using AddressChange change = Ports.Begin();
        Place(change, "i8042-data", I8042Stub.DataPort, I8042Stub.Length, keyboard.Data);
        Place(change, "i8042-command", I8042Stub.CommandPort, I8042Stub.Length, keyboard.Command);
        Place(change, "cmos", Cmos.Port, Cmos.Length, cmos);
        Place(change, "post", DummyPort.PostPort, DummyPort.Length, new DummyPort());
        Place(change, "delay", DummyPort.DelayPort, DummyPort.Length, new DummyPort());
        Place(change, "port92", Port92.Port, Port92.Length, port92);
        Place(change, "com1", Serial16550.Com1, Serial16550.Length, Serial);
        Place(change, "acpi-pm", LpcBridge.AcpiBase, AcpiPmBlock.Length, PowerManagement);
        Place(change, "pci-config", Cf8Mechanism.FirstPort, Cf8Mechanism.PortCount, config);
        foreach (ushort port in _parts.DebugExitPorts)
        {
            Place(change, $"debug-exit-{port:x}", port, DebugExit.Length, new DebugExit(_parts.Control));
        }

        change.Commit();
    }

    private static void Place(AddressChange change, string name, ushort port, int length, IAccessHandler handler) =>
        change.Place(Region.Trapped(name, (ulong)length, handler), new GuestAddress(port), RegionPriority.Ram);

    private void UpdateEcam(AddressChange change)
    {
        PciExBar wanted = Hub.PciExBar;
        if (wanted == _ecamApplied || (!wanted.Enabled && !_ecamApplied.Enabled))
        {
            return;
        }

        if (_ecam is not null)
        {
            change.Remove(_ecam);
            _ecam = null;
        }

        if (wanted.Enabled)
        {
            _ecam = Region.Trapped("ecam", wanted.Size, new EcamMechanism(Pci));
            change.TryPlace(_ecam, wanted.Range.Start, RegionPriority.Ecam);
        }

        // Of a window that is gone the log says where it was.
        AddressRange told = wanted.Enabled ? wanted.Range : _ecamApplied.Range;
        _ecamApplied = wanted;
        _limits = BoardLimits.For(_parts, wanted.Enabled ? wanted.Range : null);
        _parts.Events.Write(wanted.Enabled ? "ecam.enabled" : "ecam.disabled", json => json.WriteRange(told));
    }

    private void ReportUnclaimed(string space, UnclaimedAccess access) => _parts.Events.Write("unclaimed", json =>
    {
        json.WriteString("space", space);
        json.WriteAddress("address", access.Address);
        json.WriteNumber("width", access.Size);
        json.WriteString("access", access.IsWrite ? "write" : "read");
    });
}
