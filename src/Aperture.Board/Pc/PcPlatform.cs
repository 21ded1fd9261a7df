using Aperture.Devices.FwCfg;
using Aperture.Devices.Pc;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>A PC around its PCI tree: the chipset, the legacy devices, RAM, the firmware's flash.</summary>
internal sealed class PcPlatform : IPlatform
{
    private readonly PcParts _parts;
    private readonly RamRouting _ram;
    private readonly PcLimits _limits;
    private readonly VariableWindow? _variables;
    private readonly SmramRouting? _smram;

    /// <summary>Makes the platform in its reset state; nothing is placed yet.</summary>
    public PcPlatform(PcParts parts, BoardSite site)
    {
        IEventSink events = site.Parts.Events;
        SharedLines lines = new(parts.Line);
        _parts = parts;
        MemoryRegisters registers = site.Parts.Map.Ram.Registers ?? throw new ArgumentException("the map is not a PC's", nameof(site));
        PcChipset = Chipsets.Make(parts.Kind, registers, site.Pci, events, parts.Management is not null);
        Devices = new LegacyDevices(parts, site.Pci, lines);
        _ram = new RamRouting(parts.Ram, site.Parts.Map.Ram, () => PcChipset.MemorySize, events);
        _limits = new PcLimits(parts, site.Parts.Map);
        Management = parts.Management is null ? null : new OverlaidMemory("system management memory", site.Memory, site.MemoryDispatcher);
        _variables = parts is { Firmware: { } firmware, Variables: { } bank }
            ? new VariableWindow(bank, Management?.Above ?? site.Memory, FirmwareImage.Address(firmware))
            : null;
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
        if (Management is not null)
        {
            // After RAM, at whose end a part of it is.
            _smram = new SmramRouting(Management.Above, _ram, PcChipset);
            Map = [.. Map, _smram, new SmiLock(Devices.PowerManagement, PcChipset)];
        }
    }

    public IChipset Chipset => PcChipset;

    /// <summary>The chipset as a PC's.</summary>
    public IPcChipset PcChipset { get; }

    /// <summary>Guest physical memory as system management mode sees it; null on a machine without that.</summary>
    public OverlaidMemory? Management { get; }

    /// <summary>The devices at fixed ports.</summary>
    public LegacyDevices Devices { get; }

    public IIntxWiring Intx { get; }

    public IReadOnlyList<IMapPart> Map { get; }

    public IReadOnlyList<AddressRange> Ram => _ram.Ranges;

    public AddressRange? HiddenRam => _smram?.Tseg;

    public DecodeLimits Limits => _limits.With(_ram.Ranges, PcChipset.Ecam);

    public bool HasFirmware => _parts.Firmware is not null;

    public void Place(MapChange change)
    {
        LegacyRouting.PlaceVgaWindow(change.Memory);
        if (_parts.Firmware is { } firmware)
        {
            Region image = Region.ForRom("firmware", firmware, 0, firmware.Size, mustBeMapped: true);
            change.Memory.Place(image, FirmwareImage.Address(firmware), RegionPriority.Firmware);
            PlaceVariables(change.Memory, FirmwareImage.Address(firmware));
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
        Management?.Dispose();
    }

    // Where there is a mode that can guard the bank, only that mode reaches its commands; everybody else reads it.
    private void PlaceVariables(AddressChange memory, GuestAddress end)
    {
        if (Management is null || _parts.Variables is not { } bank)
        {
            _variables?.Place(memory);
            return;
        }

        ulong size = bank.Content.Size;
        memory.Place(Region.ForRom("flash-variables", bank.Content, 0, size, mustBeMapped: true), end - size, RegionPriority.Firmware);
        using AddressChange above = Management.Above.Begin();
        _variables!.Place(above);
        above.Commit();
    }

    /// <summary>Once firmware has locked SMIs, they cannot be switched off.</summary>
    private sealed class SmiLock(AcpiPmBlock block, IPcChipset chipset) : IMapPart
    {
        public void Update(MapChange change)
        {
            if (chipset.IsSmiLocked)
            {
                block.LockGlobalSmi();
            }
        }
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
