using Aperture.Devices.FwCfg;
using Aperture.Devices.Pc;
using Aperture.Devices.Serial;
using Aperture.Memory;
using Aperture.Pci;

namespace Aperture.Board.Pc;

/// <summary>A PC: a board with the devices that every PC has.</summary>
public sealed class PcBoard : IDisposable
{
    private readonly PcPlatform _platform;

    /// <summary>Builds the PC in its reset state.</summary>
    /// <exception cref="ApertureException">A place is taken, the host refuses a device, or the machine cannot be described to firmware.</exception>
    public PcBoard(BoardParts parts, PcParts pc)
    {
        ArgumentNullException.ThrowIfNull(pc);
        PcPlatform? platform = null;
        Board = new PciBoard(parts, site => platform = new PcPlatform(pc, site));
        _platform = platform!;
        try
        {
            if (_platform.HasFirmware)
            {
                PcPlatform.AddHandover(Board);
            }

            if (pc.Configuration is { } configuration)
            {
                _platform.AddConfiguration(Board, new FwCfgDevice(configuration(this), new DmaPort(Board.Memory, Board.MemoryDispatcher, static _ => false)));
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The board.</summary>
    public PciBoard Board { get; }

    /// <summary>Guest physical memory as system management mode sees it; null on a machine without that mode.</summary>
    public OverlaidMemory? Management => _platform.Management;

    /// <summary>The first serial port.</summary>
    public Serial16550 Serial => _platform.Devices.Serial;

    /// <summary>The ACPI block: power button.</summary>
    public AcpiPmBlock PowerManagement => _platform.Devices.PowerManagement;

    /// <summary>The ports of the ACPI block; null while it does not decode. With the hierarchy's lock held.</summary>
    public AddressRange? PmPorts => _platform.PcChipset.PmBase is { } first ? new AddressRange(new GuestAddress(first), _platform.PcChipset.PmLength) : null;

    /// <summary>The register by which the operating system takes the machine over, for the tables; null without firmware.</summary>
    public AddressRange? HandoverPorts => _platform.HasFirmware ? new AddressRange(new GuestAddress(HandoverPort.Port), HandoverPort.Length) : null;

    /// <summary>What the host bridge forwards now, and what wins over BARs. With the hierarchy's lock held.</summary>
    public DecodeLimits DecodeLimits => _platform.Limits;

    /// <inheritdoc/>
    public void Dispose() => Board.Dispose();
}
