using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Board;

/// <summary>440FX with PIIX: the host bridge at 00.0, PIIX3's ISA bridge at 01.0 and PIIX4's power management at 01.3. Conventional PCI: no ECAM.</summary>
internal sealed class I440fxChipset : IChipset
{
    private readonly I440fxHostBridge _bridge = new();
    private readonly PiixIsaBridge _isa = new();
    private readonly PiixPowerManagement _power = new();

    public bool IsExpress => false;

    public PirqWiring Wiring => PirqWiring.I440fx;

    public ushort PmLength => PiixPowerManagement.AcpiLength;

    public ushort? PmBase => _power.PmBase;

    public AddressRange? Ecam => null;

    public MadeFunction? Make(TopologyNode node, FunctionSite site) => node.Kind != NodeKind.Board ? null : node.DeviceFunction switch
    {
        TopologyBuilder.HubPlace => new MadeFunction(_bridge),
        TopologyBuilder.PiixIsaPlace => new MadeFunction(_isa),
        _ => new MadeFunction(_power),
    };

    public MemoryRegisters? MemorySize => null;

    public PamAttribute Pam(int segment) => _bridge.PamOf(segment);

    public PirqRoute RouteOf(int pirq) => _isa.RouteOf(pirq);

    public bool Routes(PciFunction function) => function == _bridge || function == _isa || function == _power;

    public void Update(AddressChange memory)
    {
    }

    public void SetMemorySize(MemoryRegisters registers)
    {
    }

    public void Program(PlacementMap map)
    {
        _bridge.ProgramPamToRam();
        _power.ProgramPmBase(LpcBridge.AcpiBase);
    }
}
