using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Board;

/// <summary>
/// What every board's chipset has: functions of its own on the root bus, whose registers say what is where. Called with the hierarchy's lock held.
/// </summary>
public interface IChipset
{
    /// <summary>The board has PCI Express.</summary>
    bool IsExpress { get; }

    /// <summary>The chipset's functions on the root bus, without those that only a user adds.</summary>
    IReadOnlyList<BoardNode> Functions { get; }

    /// <summary>What the chipset keeps at what its own registers say, in the order in which it is brought up to date.</summary>
    IReadOnlyList<IMapPart> Map { get; }

    /// <summary>The ECAM window that decodes now, as of the last update; null while there is none.</summary>
    AddressRange? Ecam { get; }

    /// <summary>True when registers of <paramref name="function"/>'s own, other than BARs and windows, say what is where.</summary>
    bool Routes(PciFunction function);

    /// <summary>Programs the registers as firmware leaves them, for a direct boot.</summary>
    void Program(PlacementMap map);

    /// <summary>Puts the ECAM window where <paramref name="map"/> has it, and leaves every other register as firmware programmed it.</summary>
    void ProgramEcam(PlacementMap map);
}
