using Aperture.Devices;
using Aperture.Devices.Arm;
using Aperture.Devices.FwCfg;
using Aperture.Firmware.Platform;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Virt;

/// <summary>A machine of Arm's kind around its PCI tree: RAM and devices where no register moves them, and the ports as a window of memory.</summary>
internal sealed class VirtPlatform : IPlatform
{
    private readonly VirtParts _parts;
    private readonly VirtChipset _chipset;
    private readonly PortWindow _ports;
    private readonly Pl031 _rtc;
    private readonly Pl061 _gpio;
    private readonly PowerKey _powerKey;
    private readonly EventDevice _events;
    private readonly List<IResettable> _resettable;

    /// <summary>Makes the platform in its reset state; nothing is placed yet.</summary>
    public VirtPlatform(VirtParts parts, BoardSite site)
    {
        _parts = parts;
        PlacementMap map = site.Parts.Map;
        _chipset = new VirtChipset(map, site.Pci, site.Parts.Events);
        _ports = new PortWindow(site.PortDispatcher);
        Intx = new VirtIntx(parts.Line);
        Serial = new Pl011(parts.Line(VirtMap.UartSpi), parts.Serial);
        _rtc = new Pl031(parts.Clock, parts.Line(VirtMap.RtcSpi));
        _gpio = new Pl061(parts.Line(VirtMap.GpioSpi));
        _powerKey = new PowerKey(_gpio, VirtMap.PowerKeyLine, parts.Clock);
        _events = new EventDevice(parts.Line(VirtMap.EventSpi));
        _resettable = [Serial, _rtc, _gpio, _events];
        Ram = [.. parts.Ram.Pieces.Select(piece => piece.Range)];
        Limits = LimitsOf(map, Ram);
    }

    /// <summary>The serial console.</summary>
    public Pl011 Serial { get; }

    public IChipset Chipset => _chipset;

    public IIntxWiring Intx { get; }

    public IReadOnlyList<IMapPart> Map => _chipset.Map;

    public IReadOnlyList<AddressRange> Ram { get; }

    public DecodeLimits Limits { get; }

    public bool HasFirmware => false;

    public void Place(MapChange change)
    {
        _parts.Ram.Place(change.Memory, RegionPriority.Ram);
        Place(change.Memory, "pl011", VirtMap.Uart, Serial);
        Place(change.Memory, "pl031", VirtMap.Rtc, _rtc);
        Place(change.Memory, "pl061", VirtMap.Gpio, _gpio);
        Place(change.Memory, "events", VirtMap.EventDevice, _events);
        Place(change.Memory, "ports", VirtMap.Ports, _ports);
    }

    /// <summary>Presses the power button: the key that guests of a device tree know, and the event that guests of ACPI know. Any thread.</summary>
    public void PressPowerButton()
    {
        _powerKey.PressOnce();
        _events.Raise(VirtDescription.PowerButtonEvent);
    }

    /// <summary>Adds the device by which firmware learns of its machine, to the <paramref name="board"/> of this platform.</summary>
    public void AddConfiguration(PciBoard board, FwCfgDevice device)
    {
        _resettable.Add(device);
        using AddressChange memory = board.Memory.Begin();
        Place(memory, "fw-cfg", VirtMap.FwCfg, new FwCfgMemory(device));
        memory.Commit();
    }

    public void Reset() => _resettable.ForEach(device => device.Reset());

    public void Dispose()
    {
        _powerKey.Dispose();
        _rtc.Dispose();
    }

    // What the guest is told of, and what wins over BARs; nothing of it moves.
    private static DecodeLimits LimitsOf(PlacementMap map, IReadOnlyList<AddressRange> ram)
    {
        List<DecodeObstacle> obstacles = [.. VirtMap.Reserved.Select(r => new DecodeObstacle(r.Range, r.Origin))];
        obstacles.AddRange(ram.Select(r => new DecodeObstacle(r, "guest RAM")));
        if (map.Ecam is { } ecam)
        {
            obstacles.Add(new DecodeObstacle(ecam, "the ECAM window"));
        }

        return new DecodeLimits(
            map.HostBridges.SelectMany(b => b.Mmio32Windows.Concat(b.Mmio64Windows)), [new AddressRange(GuestAddress.Zero, VirtMap.Ports.Size)], obstacles);
    }

    private static void Place(AddressChange change, string name, AddressRange range, IAccessHandler handler) =>
        change.Place(Region.Trapped(name, range.Size, handler), range.Start, RegionPriority.Legacy);
}
