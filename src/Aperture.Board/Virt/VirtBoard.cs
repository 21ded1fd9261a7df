using Aperture.Devices.Arm;
using Aperture.Devices.FwCfg;
using Aperture.Memory;

namespace Aperture.Board.Virt;

/// <summary>A machine of Arm's kind: a board with the devices that every such machine has.</summary>
public sealed class VirtBoard : IDisposable
{
    private readonly VirtPlatform _platform;

    /// <summary>Builds the machine in its reset state.</summary>
    /// <exception cref="ApertureException">A place is taken, the host refuses a device, or the machine cannot be described to firmware.</exception>
    public VirtBoard(BoardParts parts, VirtParts virt)
    {
        ArgumentNullException.ThrowIfNull(virt);
        VirtPlatform? platform = null;
        Board = new PciBoard(parts, site => platform = new VirtPlatform(virt, site));
        _platform = platform!;
        try
        {
            if (virt.Configuration is { } configuration)
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

    /// <summary>The serial console.</summary>
    public Pl011 Serial => _platform.Serial;

    /// <summary>Presses the power button: the key, and what guests of ACPI know instead. Any thread.</summary>
    public void PressPowerButton() => _platform.PressPowerButton();

    /// <inheritdoc/>
    public void Dispose() => Board.Dispose();
}
