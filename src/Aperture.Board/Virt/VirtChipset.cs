using Aperture.Pci;
using Aperture.Placement.Map;

namespace Aperture.Board.Virt;

/// <summary>What stands for a chipset: the host bridge with its ECAM window, which no register moves.</summary>
internal sealed class VirtChipset : IChipset
{
    private readonly EcamWindow _ecam;

    /// <summary>Makes the host bridge of a machine planned as <paramref name="map"/>.</summary>
    public VirtChipset(PlacementMap map, PciHierarchy hierarchy, IEventSink events)
    {
        _ecam = new EcamWindow(hierarchy, () => map.Ecam, events);
        Functions = [new DeviceNode(VirtHostBridge.Place.Name, VirtHostBridge.Place.DeviceFunction, static _ => new MadeFunction(new VirtHostBridge()))];
        Map = [_ecam];
    }

    /// <summary>The functions that the board has, by rising place.</summary>
    public static IReadOnlyList<ChipsetPlace> Places { get; } = [VirtHostBridge.Place];

    public bool IsExpress => true;

    public IReadOnlyList<BoardNode> Functions { get; }

    public IReadOnlyList<IMapPart> Map { get; }

    public AddressRange? Ecam => _ecam.Current;

    public bool Routes(PciFunction function) => false;

    public void Program(PlacementMap map)
    {
        // There is nothing to program.
    }

    public void ProgramEcam(PlacementMap map)
    {
        // Nor here: firmware cannot have moved it.
    }
}
