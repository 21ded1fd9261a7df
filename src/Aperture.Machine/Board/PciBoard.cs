using Aperture.Devices.Display;
using Aperture.Devices.FwCfg;
using Aperture.Devices.Pc;
using Aperture.Devices.Serial;
using Aperture.Machine.Events;
using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Machine.Board;

/// <summary>
/// A PC with PCI: the address spaces, the PCI tree, the legacy devices, and the chipset that makes it a particular one. Knows nothing of a hypervisor: it
/// answers accesses and keeps its two flat views at what the registers say.
/// </summary>
internal sealed class PciBoard : IConfigWriteSink, IDisposable
{
    private readonly BoardParts _parts;
    private readonly IChipset _chipset;
    private readonly LegacyRouting _legacy;
    private readonly LegacyDevices _devices;
    private readonly BarMapper _bars;
    private readonly PciTree _tree;
    private readonly InterruptRouter _router;
    private readonly PmWindow _pm;
    private readonly ConfigWriteEvents _writes;
    private readonly RamRouting _ram;
    private IReadOnlyList<IConfigWriteSink> _watchers = [];
    private (IReadOnlyList<AddressRange> Ram, AddressRange? Ecam) _limitsOf;
    private DecodeLimits _limits;

    /// <summary>Builds the board in its reset state.</summary>
    public PciBoard(BoardParts parts)
    {
        _parts = parts;
        Pci = new PciHierarchy(this, parts.Messages);
        _legacy = new LegacyRouting(parts.Ram.Block, parts.Firmware);
        _bars = new BarMapper(Pci, parts.Events);
        _writes = new ConfigWriteEvents(parts.Events);
        _ram = new RamRouting(parts.Ram, parts.Map.Ram, parts.Events);
        Unclaimed = new UnclaimedLog(first => ReportUnclaimed("memory", first));
        UnclaimedPorts = new UnclaimedLog(first => ReportUnclaimed("port", first));
        MemoryDispatcher = new Dispatcher(Memory, Unclaimed);
        PortDispatcher = new Dispatcher(Ports, UnclaimedPorts);
        _chipset = parts.Chipset(Pci, parts.Events);
        _chipset.SetMemorySize(parts.Map.Ram.Registers);
        _limitsOf = ([.. parts.Map.Ram.Pieces], null);
        _limits = BoardLimits.For(parts, _limitsOf.Ram, ecam: null);
        ushort slot = 0;
        FunctionSite site = new(Memory, MemoryDispatcher, () => ++slot, _chipset.IsExpress);
        SharedLines lines = new(parts.Line);
        _router = new InterruptRouter(_chipset.Wiring, lines);
        _tree = new PciTree(Pci, _bars, _router, site, [.. parts.Makers, _chipset, new PortMaker(), new TestFunctionMaker()]);
        _devices = new LegacyDevices(parts, Pci, lines);
        _pm = new PmWindow(_devices.PowerManagement, _chipset.PmLength);
        try
        {
            _tree.Add(Pci.Root, parts.Root);
            if (parts.Firmware is not null)
            {
                PinnedWindows.Lock(Pci, parts.Map);
            }

            PlaceFixed();
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

    /// <summary>The chipset.</summary>
    public IChipset Chipset => _chipset;

    /// <summary>The first serial port.</summary>
    public Serial16550 Serial => _devices.Serial;

    /// <summary>The keyboard.</summary>
    public I8042 Keyboard => _devices.Keyboard;

    /// <summary>The display adapter, or null.</summary>
    public StandardVga? Display => Pci.Root.Functions.OfType<StandardVga>().FirstOrDefault();

    /// <summary>The ACPI block: power button.</summary>
    public AcpiPmBlock PowerManagement => _devices.PowerManagement;

    /// <summary>What decodes now.</summary>
    public DecodeMap Decode => _bars.Current;

    /// <summary>Where RAM is, by rising address.</summary>
    public IReadOnlyList<AddressRange> Ram => _ram.Ranges;

    /// <inheritdoc/>
    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        _writes.Report(function, change, offset, size, value);
        const ConfigChange Map = ConfigChange.DecodeMap | ConfigChange.SecondaryReset | ConfigChange.FunctionReset | ConfigChange.BusNumbers;
        if ((change & Map) != 0 || ((change & ConfigChange.DeviceSpecific) != 0 && _chipset.Routes(function)))
        {
            Apply();
        }

        foreach (IConfigWriteSink watcher in _watchers)
        {
            watcher.Written(function, change, offset, size, value);
        }
    }

    /// <summary>Tells <paramref name="watcher"/> of every configuration write once it is applied, with the hierarchy's lock held; before vCPUs run.</summary>
    public void AddWatcher(IConfigWriteSink watcher) => _watchers = [.. _watchers, watcher];

    /// <summary>Brings the address spaces to what the registers say. With the hierarchy's lock, or before vCPUs run.</summary>
    public void Apply()
    {
        using AddressChange memory = Memory.Begin();
        using AddressChange ports = Ports.Begin();
        _ram.Update(memory, _chipset.MemorySize);
        _legacy.Update(memory, _chipset);
        _chipset.Update(memory);
        _pm.Update(ports, _chipset.PmBase);
        _router.Update(_chipset);
        FollowRam();
        _bars.Update(memory, ports, _limits);
        ports.Commit();
        memory.Commit();
    }

    /// <summary>Makes the function for <paramref name="node"/> and all below it and puts them on <paramref name="bus"/>, while the guest may run. They are in reset state: nothing decodes.</summary>
    /// <exception cref="ApertureException">The place is taken, or the host refuses.</exception>
    public PciFunction Plug(PciBus bus, TopologyNode node) => _tree.Add(bus, node);

    /// <summary>Takes <paramref name="function"/> and all below it off the board, while the guest may run: what they decoded is gone in one step.</summary>
    public void Unplug(PciFunction function) => _tree.Remove(function, Apply);

    /// <summary>Adds the device by which firmware learns of its machine; once, before vCPUs run.</summary>
    public void AddFirmwareConfiguration(FwCfgItems items)
    {
        using AddressChange ports = Ports.Begin();
        _devices.AddFirmwareConfiguration(ports, new FwCfgDevice(items, new DmaPort(Memory, MemoryDispatcher, static _ => false)));
        ports.Commit();
    }

    /// <summary>Returns every device and register to its state after power-on; with the vCPUs stopped.</summary>
    public void Reset()
    {
        Pci.Reset(ResetKind.Cold);
        _devices.Reset();
        _parts.Variables?.Reset();
        lock (Pci.Sync)
        {
            Apply();
            Pci.ResetApplied();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _tree.Dispose();
        _devices.Dispose();
        Ports.Dispose();
        Memory.Dispose();
    }

    private void PlaceFixed()
    {
        using AddressChange memory = Memory.Begin();
        using AddressChange ports = Ports.Begin();
        LegacyRouting.PlaceVgaWindow(memory);
        if (_parts.Firmware is { } firmware)
        {
            memory.Place(Region.ForRom("firmware", firmware, 0, firmware.Size, mustBeMapped: true), FirmwareImage.Address(firmware), RegionPriority.Firmware);
            _parts.Variables?.Place(Memory, memory, FirmwareImage.Address(firmware));
        }

        _devices.Place(ports, _parts);
        _devices.PlaceMemory(memory);
        foreach (FixedRange range in _tree.Fixed)
        {
            (range.IsPorts ? ports : memory).Place(range.Region, range.Start, RegionPriority.Legacy);
        }

        ports.Commit();
        memory.Commit();
    }

    // What else depends on where RAM and the ECAM window are.
    private void FollowRam()
    {
        bool moved = _limitsOf.Ram != _ram.Ranges;
        if (moved)
        {
            _devices.SetMemorySize(_ram.Ranges);
        }

        if (moved || _limitsOf.Ecam != _chipset.Ecam)
        {
            _limitsOf = (_ram.Ranges, _chipset.Ecam);
            _limits = BoardLimits.For(_parts, _limitsOf.Ram, _limitsOf.Ecam);
        }
    }

    private void ReportUnclaimed(string space, UnclaimedAccess access) => _parts.Events.Write("unclaimed", json =>
    {
        json.WriteString("space", space);
        json.WriteAddress("address", access.Address);
        json.WriteNumber("width", access.Size);
        json.WriteString("access", access.IsWrite ? "write" : "read");
    });
}
