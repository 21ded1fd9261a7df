using Aperture.Memory;
using Aperture.Pci;
using Aperture.Pci.Registers;

namespace Aperture.Board;

/// <summary>
/// A board with PCI: the address spaces, the PCI tree, and the platform that makes it a particular one. Knows nothing of a hypervisor: it answers accesses
/// and keeps its two flat views at what the registers say.
/// </summary>
public sealed class PciBoard : IConfigWriteSink, IDisposable
{
    private readonly IPlatform _platform;
    private readonly BarMapper _bars;
    private readonly PciTree _tree;
    private readonly IMapPart[] _map;
    private readonly ConfigWriteEvents _writes;
    private readonly BoardParts _parts;
    private IReadOnlyList<IConfigWriteSink> _watchers = [];
    private volatile bool _handedOver;

    /// <summary>Builds the board in its reset state.</summary>
    /// <param name="parts">What it is built around.</param>
    /// <param name="platform">Makes the platform, which the board owns.</param>
    /// <exception cref="ApertureException">A place is taken, or the host refuses a device.</exception>
    public PciBoard(BoardParts parts, Func<BoardSite, IPlatform> platform)
    {
        ArgumentNullException.ThrowIfNull(parts);
        ArgumentNullException.ThrowIfNull(platform);
        _parts = parts;
        Pci = new PciHierarchy(this, parts.Messages);
        _writes = new ConfigWriteEvents(parts.Events);
        Unclaimed = new UnclaimedLog(first => ReportUnclaimed(parts.Events, "memory", first));
        UnclaimedPorts = new UnclaimedLog(first => ReportUnclaimed(parts.Events, "port", first));
        MemoryDispatcher = new Dispatcher(Memory, Unclaimed);
        PortDispatcher = new Dispatcher(Ports, UnclaimedPorts);
        _platform = platform(new BoardSite(Memory, Ports, MemoryDispatcher, PortDispatcher, Pci, parts));
        _bars = new BarMapper(Pci, () => _platform.Limits, parts.Events);

        // BARs last: RAM and the ECAM window win over them, so those are to be where they go before it is worked out what decodes.
        _map = [.. _platform.Map, _bars];
        _tree = new PciTree(Pci, _bars, new InterruptRouter(_platform.Intx), new FunctionSite(Memory, MemoryDispatcher, Chipset.IsExpress));
        try
        {
            BeginFirmware();
            _tree.Add(Pci.Root, Chipset.Functions);
            _tree.Add(Pci.Root, parts.Root);
            if (_platform.HasFirmware)
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
    public IChipset Chipset => _platform.Chipset;

    /// <summary>What decodes now.</summary>
    public DecodeMap Decode => _bars.Current;

    /// <summary>Where RAM is, by rising address.</summary>
    public IReadOnlyList<AddressRange> Ram => _platform.Ram;

    /// <summary>The part of it that only system management mode sees; null when there is none.</summary>
    public AddressRange? HiddenRam => _platform.HiddenRam;

    /// <summary>
    /// True once the operating system has the machine: it said so under firmware (<see cref="HandOver"/>); without firmware it has it from the start.
    /// </summary>
    public bool IsHandedOver => _handedOver || !_platform.HasFirmware;

    /// <summary>Raised after <see cref="HandOver"/>, with the hierarchy's lock held.</summary>
    public event Action? HandedOver;

    /// <summary>The BAR that <paramref name="region"/> answers for; null when it is none's. With the hierarchy's lock held.</summary>
    public BarRegion? OwnerOf(Region region) => _bars.OwnerOf(region);

    /// <inheritdoc/>
    public void Written(PciFunction function, ConfigChange change, int offset, int size, uint value)
    {
        _writes.Report(function, change, offset, size, value);
        const ConfigChange Own = ConfigChange.DecodeMap | ConfigChange.FunctionReset;
        bool isBar = offset >= PciRegisters.Bar0 && offset < PciRegisters.RomType0 + 4;
        const ConfigChange Others = ConfigChange.SecondaryReset | ConfigChange.BusNumbers;
        if ((change & Others) != 0 || ((change & ConfigChange.DeviceSpecific) != 0 && Chipset.Routes(function)))
        {
            Apply();
        }
        else if ((change & Own) != 0 || (isBar && _bars.Aliases.FollowsRequests && !_bars.Aliases.IsIdle))
        {
            Apply(function);
        }

        foreach (IConfigWriteSink watcher in _watchers)
        {
            watcher.Written(function, change, offset, size, value);
        }
    }

    /// <inheritdoc/>
    public void Changed(PciFunction function)
    {
        Apply(function);
        foreach (IConfigWriteSink watcher in _watchers)
        {
            watcher.Changed(function);
        }
    }

    /// <summary>
    /// Tells <paramref name="watcher"/> of every configuration write from now on, once it is applied and with the hierarchy's lock held. Any thread.
    /// </summary>
    public void AddWatcher(IConfigWriteSink watcher)
    {
        lock (Pci.Sync)
        {
            _watchers = [.. _watchers, watcher];
        }
    }

    /// <summary>Brings the address spaces to what the registers say, in one step. Any thread.</summary>
    public void Apply() => Apply(null);

    /// <summary>
    /// The operating system takes the machine over from firmware. With <see cref="PinTiming.Handover"/> the plan is put in place of firmware's map in one step,
    /// and pins come into force. Only the first call after a reset does anything: later the map is the operating system's. Any thread.
    /// </summary>
    public void HandOver()
    {
        lock (Pci.Sync)
        {
            if (IsHandedOver)
            {
                return;
            }

            _handedOver = true;
            IReadOnlyList<HandedBar> moved = [];
            _bars.Aliases.FollowsRequests = false;
            if (_parts.Pins == PinTiming.Handover)
            {
                moved = new Handover(Pci, Chipset, _parts.Map).Program();
                KeepFramebuffers(moved);
            }

            // Before the decoding that follows from it.
            ReportHandover(moved);
            Apply();
            HandedOver?.Invoke();
        }
    }

    /// <summary>
    /// Makes the function for <paramref name="node"/> and all below it and puts them on <paramref name="bus"/>, while the guest may run. They are in
    /// reset state: nothing decodes.
    /// </summary>
    /// <exception cref="ApertureException">The place is taken, or the host refuses.</exception>
    public PciFunction Plug(PciBus bus, BoardNode node) => _tree.Add(bus, node);

    /// <summary>
    /// As the other overload for functions that belong together: all of them in one step, or none, and nothing that was made stays. <paramref name="made"/> is
    /// told of them while the guest cannot see them yet, and may refuse.
    /// </summary>
    /// <exception cref="ApertureException">A place is taken, or the host or <paramref name="made"/> refuses.</exception>
    public IReadOnlyList<PciFunction> Plug(PciBus bus, IReadOnlyList<DeviceNode> nodes, Action<IReadOnlyList<PciFunction>> made) =>
        _tree.AddTogether(bus, nodes, made);

    /// <summary>Takes <paramref name="functions"/> and all below them off the board, while the guest may run: what they decoded is gone in one step.</summary>
    /// <exception cref="ApertureException">The host did not take something back; the functions are off the board all the same.</exception>
    public void Unplug(params IReadOnlyList<PciFunction> functions) => _tree.Remove(functions, Apply);

    /// <summary>Returns every device and register to its state after power-on; with the vCPUs stopped.</summary>
    public void Reset()
    {
        lock (Pci.Sync)
        {
            BeginFirmware();
            _writes.Reset();
        }

        Pci.Reset(ResetKind.Cold);
        _platform.Reset();
        Apply();
        Pci.ResetApplied();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _tree.Dispose();
        _platform.Dispose();
        Ports.Dispose();
        Memory.Dispose();
    }

    // With the only function whose registers changed since the last time, or null when it may be any.
    private void Apply(PciFunction? only)
    {
        lock (Pci.Sync)
        {
            using AddressChange memory = Memory.Begin();
            using AddressChange ports = Ports.Begin();
            MapChange change = new(memory, ports, only);
            if (only is not null && !Chipset.Routes(only))
            {
                // Every other part follows the chipset's registers, which have not changed.
                _bars.Update(change);
            }
            else
            {
                foreach (IMapPart part in _map)
                {
                    part.Update(change);
                }
            }

            try
            {
                ports.Commit();
            }
            finally
            {
                // Whatever failed with the ports: the memory of a function that left must not stay with the guest.
                memory.Commit();
            }
        }
    }

    private void PlaceFixed()
    {
        using AddressChange memory = Memory.Begin();
        using AddressChange ports = Ports.Begin();
        _platform.Place(new MapChange(memory, ports));
        foreach (FixedRange range in _tree.Fixed)
        {
            (range.IsPorts ? ports : memory).Place(range.Region, range.Start, RegionPriority.Legacy);
        }

        ports.Commit();
        memory.Commit();
    }

    // After power-on and every reset: until the operating system takes over.
    private void BeginFirmware()
    {
        _handedOver = false;
        _bars.Aliases.Forget();
        _bars.Aliases.FollowsRequests = _platform.HasFirmware && _parts.Pins == PinTiming.Always;
        Pci.HoldPins(!_platform.HasFirmware || _parts.Pins == PinTiming.Always);
    }

    // Firmware told the operating system where it draws, and early consoles draw there until the display's own driver comes.
    private void KeepFramebuffers(IReadOnlyList<HandedBar> moved)
    {
        foreach (HandedBar bar in moved)
        {
            if (bar.Bar.Function.Identity.ClassCode >> 16 == PciIdentity.DisplayClass && bar.Bar.Kind.IsMemory() && bar.Firmware != GuestAddress.Zero)
            {
                _bars.Aliases.Keep(bar.Bar, bar.Firmware);
            }
        }
    }

    private void ReportHandover(IReadOnlyList<HandedBar> moved) => _parts.Events.Write("handover", json =>
    {
        const int Most = 256;
        json.WriteString("pins", _parts.Pins == PinTiming.Handover ? "handover" : "always");
        json.WriteNumber("moved", moved.Count);
        json.WriteStartArray("bars");
        foreach (HandedBar bar in moved.Take(Most))
        {
            json.WriteStartObject();
            json.WriteBar(bar.Bar);
            json.WriteAddress("firmware", bar.Firmware);
            json.WriteAddress("address", bar.Address);
            json.WriteBoolean("pinned", bar.Bar.IsPinHeld);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    });

    private static void ReportUnclaimed(IEventSink events, string space, UnclaimedAccess access) => events.Write("unclaimed", json =>
    {
        json.WriteString("space", space);
        json.WriteAddress("address", access.Address);
        json.WriteNumber("width", access.Size);
        json.WriteString("access", access.IsWrite ? "write" : "read");
    });
}
