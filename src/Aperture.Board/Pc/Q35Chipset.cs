using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>Q35 with ICH9: the memory controller hub at 00.0 and the LPC bridge at 1f.0.</summary>
internal sealed class Q35Chipset : IPcChipset
{
    private readonly MemoryControllerHub _hub;
    private readonly LpcBridge _lpc;
    private readonly EcamWindow _ecam;

    /// <summary>Makes the chipset in its reset state, with <paramref name="memory"/> in the memory size registers.</summary>
    public Q35Chipset(MemoryRegisters memory, PciHierarchy hierarchy, IEventSink events, bool hasManagementMode)
    {
        _hub = new MemoryControllerHub(memory, hasManagementMode);
        _lpc = new LpcBridge(hasManagementMode);
        _ecam = new EcamWindow(hierarchy, () => _hub.PciExBar is { Enabled: true } window ? window.Range : null, events);
        Functions = [Chipsets.Node(MemoryControllerHub.Place, _hub), Chipsets.Node(LpcBridge.Place, _lpc)];
        Map = [_ecam];
    }

    public bool IsExpress => true;

    public IReadOnlyList<BoardNode> Functions { get; }

    public IReadOnlyList<IMapPart> Map { get; }

    public AddressRange? Ecam => _ecam.Current;

    public PirqWiring Wiring => PirqWiring.Q35;

    public ushort PmLength => LpcBridge.AcpiLength;

    public ushort? PmBase => _lpc.PmBase;

    public MemoryRegisters? MemorySize => _hub.MemorySize;

    public SmramControl Smram => _hub.Smram;

    public bool IsSmiLocked => _lpc.IsSmiLocked;

    public PamAttribute Pam(int segment) => _hub.Pam(segment);

    public PirqRoute RouteOf(int pirq) => _lpc.RouteOf(pirq);

    public bool Routes(PciFunction function) => function == _hub || function == _lpc;

    public void Program(PlacementMap map)
    {
        _lpc.ProgramPmBase(LpcBridge.AcpiBase);
        _hub.ProgramPamToRam();
        ProgramEcam(map);
    }

    public void ProgramEcam(PlacementMap map)
    {
        if (map.Ecam is { } ecam)
        {
            int sizeCode = ecam.Size switch { 256UL << 20 => 0, 128UL << 20 => 1, _ => 2 };
            _hub.ProgramPciExBar(new PciExBar(ecam.Start.Value | (uint)sizeCode << 1 | 1));
        }
    }
}
