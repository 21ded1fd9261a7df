using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Board.Pc;

/// <summary>440FX with PIIX: the host bridge at 00.0, PIIX3's ISA bridge at 01.0 and PIIX4's power management at 01.3. Conventional PCI: no ECAM.</summary>
internal sealed class I440fxChipset : IPcChipset
{
    private readonly I440fxHostBridge _bridge = new();
    private readonly PiixIsaBridge _isa = new();
    private readonly PiixPowerManagement _power = new();

    /// <summary>Makes the chipset in its reset state.</summary>
    public I440fxChipset() => Functions =
    [
        Chipsets.Node(I440fxHostBridge.Place, _bridge), Chipsets.Node(PiixIsaBridge.Place, _isa), Chipsets.Node(PiixPowerManagement.Place, _power),
    ];

    public bool IsExpress => false;

    public IReadOnlyList<BoardNode> Functions { get; }

    public IReadOnlyList<IMapPart> Map => [];

    public AddressRange? Ecam => null;

    public PirqWiring Wiring => PirqWiring.I440fx;

    public ushort PmLength => PiixPowerManagement.AcpiLength;

    public ushort? PmBase => _power.PmBase;

    public MemoryRegisters? MemorySize => null;

    // No SMM on this board.
    public SmramControl Smram => default;

    public bool IsSmiLocked => false;

    public PamAttribute Pam(int segment) => _bridge.PamOf(segment);

    public PirqRoute RouteOf(int pirq) => _isa.RouteOf(pirq);

    public bool Routes(PciFunction function) => function == _bridge || function == _isa || function == _power;

    public void Program(PlacementMap map)
    {
        _bridge.ProgramPamToRam();
        _power.ProgramPmBase(LpcBridge.AcpiBase);
    }

    // No ECAM.
    public void ProgramEcam(PlacementMap map)
    {
    }
}
