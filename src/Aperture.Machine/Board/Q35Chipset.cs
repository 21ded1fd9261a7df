using Aperture.Machine.Topology;
using Aperture.Memory;
using Aperture.Pci;
using Aperture.Placement.Map;
using Aperture.Placement.Platforms;

namespace Aperture.Machine.Board;

/// <summary>Q35 with ICH9: the memory controller hub at 00.0 and the LPC bridge at 1f.0.</summary>
internal sealed class Q35Chipset(PciHierarchy hierarchy, IEventSink events) : IChipset
{
    private readonly MemoryControllerHub _hub = new();
    private readonly LpcBridge _lpc = new();
    private readonly EcamWindow _ecam = new(hierarchy, events);

    public bool IsExpress => true;

    public PirqWiring Wiring => PirqWiring.Q35;

    public ushort PmLength => LpcBridge.AcpiLength;

    public ushort? PmBase => _lpc.PmBase;

    public AddressRange? Ecam => _ecam.Current;

    public MadeFunction? Make(TopologyNode node, FunctionSite site) => node.Kind != NodeKind.Board
        ? null
        : new MadeFunction(node.DeviceFunction == TopologyBuilder.HubPlace ? _hub : _lpc);

    public MemoryRegisters? MemorySize => _hub.MemorySize;

    public PamAttribute Pam(int segment) => _hub.Pam(segment);

    public bool Routes(PciFunction function) => function == _hub || function == _lpc;

    public PirqRoute RouteOf(int pirq) => _lpc.RouteOf(pirq);

    public void Update(AddressChange memory) => _ecam.Update(memory, _hub.PciExBar);

    public void SetMemorySize(MemoryRegisters registers) => _hub.SetMemorySize(registers);

    public void Program(PlacementMap map)
    {
        _lpc.ProgramPmBase(LpcBridge.AcpiBase);
        _hub.ProgramPamToRam();
        if (map.Ecam is { } ecam)
        {
            int sizeCode = ecam.Size switch { 256UL << 20 => 0, 128UL << 20 => 1, _ => 2 };
            _hub.ProgramPciExBar(new PciExBar(ecam.Start.Value | (uint)sizeCode << 1 | 1));
        }
    }
}
