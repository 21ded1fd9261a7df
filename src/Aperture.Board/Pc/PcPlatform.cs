using Aperture.Devices.FwCfg;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board.Pc;

/// <summary>A PC around its PCI tree: the chipset, the legacy devices, RAM, the firmware's flash.</summary>
internal sealed class PcPlatform : IPlatform
{
    private readonly PcParts _parts;
    private readonly RamRouting _ram;
    private readonly PcLimits _limits;
    private readonly VariableWindow? _variables;

    /// <summary>Makes the platform in its reset state; nothing is placed yet.</summary>
    public PcPlatform(PcParts parts, BoardSite site)
    {
        IEventSink events = site.Parts.Events;
        SharedLines lines = new(parts.Line);
        _parts = parts;
        PcChipset = Chipsets.Make(parts.Kind, site.Parts.Map.Ram.Registers, site.Pci, events);
        Devices = new LegacyDevices(parts, site.Pci, lines);
        _ram = new RamRouting(parts.Ram, site.Parts.Map.Ram, () => PcChipset.MemorySize, events);
        _limits = new PcLimits(parts, site.Parts.Map);
        _variables = parts is { Firmware: { } firmware, Variables: { } bank } ? new VariableWindow(bank, site.Memory, FirmwareImage.Address(firmware)) : null;
        PirqRouter pirqs = new(PcChipset, lines);
        Intx = pirqs;

        // RAM before what reports its size. The others touch disjoint ranges or win by their priority, in whatever order they come; which is also the order in
        // which events tell of them.
        Map =
        [
            _ram,
            new CmosMemory(_ram, Devices),
            new LegacyRouting(parts.Ram.Block, parts.Firmware, PcChipset),
            .. PcChipset.Map,
            new PmWindow(Devices.PowerManagement, PcChipset),
            pirqs,
        ];
    }

    public IChipset Chipset => PcChipset;

    /// <summary>The chipset as a PC's.</summary>
    public IPcChipset PcChipset { get; }

    /// <summary>The devices at fixed ports.</summary>
    public LegacyDevices Devices { get; }

    public IIntxWiring Intx { get; }

    public IReadOnlyList<IMapPart> Map { get; }

    public IReadOnlyList<AddressRange> Ram => _ram.Ranges;

    public DecodeLimits Limits => _limits.With(_ram.Ranges, PcChipset.Ecam);

    public bool HasFirmware => _parts.Firmware is not null;

    public void Place(MapChange change)
    {
        LegacyRouting.PlaceVgaWindow(change.Memory);
        if (_parts.Firmware is { } firmware)
        {
            Region image = Region.ForRom("firmware", firmware, 0, firmware.Size, mustBeMapped: true);
            change.Memory.Place(image, FirmwareImage.Address(firmware), RegionPriority.Firmware);
            _variables?.Place(change.Memory);
        }

        Devices.Place(change, _parts);
    }

    /// <summary>Adds the device by which firmware learns of its machine, to the <paramref name="board"/> of this platform.</summary>
    public void AddConfiguration(PciBoard board, FwCfgDevice device)
    {
        using AddressChange ports = board.Ports.Begin();
        Devices.Add(ports, device);
        ports.Commit();
    }

    /// <summary>Adds the register by which the operating system takes the <paramref name="board"/> of this platform over from firmware.</summary>
    public static void AddHandover(PciBoard board)
    {
        using AddressChange ports = board.Ports.Begin();
        Region register = Region.Trapped("handover", HandoverPort.Length, new HandoverPort(board));
        ports.Place(register, new GuestAddress(HandoverPort.Port), RegionPriority.Ram);
        ports.Commit();
    }

    public void Reset()
    {
        Devices.Reset();
        _parts.Variables?.Reset();
    }

    public void Dispose()
    {
        _variables?.Dispose();
        Devices.Dispose();
    }

    /// <summary>Tells the guest, in the CMOS, how much RAM is where.</summary>
    private sealed class CmosMemory(RamRouting ram, LegacyDevices devices) : IMapPart
    {
        private IReadOnlyList<AddressRange>? _told;

        public void Update(MapChange change)
        {
            if (_told != ram.Ranges)
            {
                _told = ram.Ranges;
                devices.SetMemorySize(_told);
            }
        }
    }
}
