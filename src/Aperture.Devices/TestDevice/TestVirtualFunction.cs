using Aperture.Pci;
using Aperture.Pci.Capabilities;
using Aperture.Pci.Ports;

namespace Aperture.Devices.TestDevice;

/// <summary>A VF of the test device: its memory has the pattern of the device's other BARs; it has no interrupts and does no DMA.</summary>
public sealed class TestVirtualFunction : VirtualFunction
{
    private readonly SortedList<int, TestPatternBar> _patterns = [];

    internal TestVirtualFunction(TestFunction physical, int number)
        : base(physical, number)
    {
        TestDeviceSpec spec = physical.Spec;
        AddCapability(new PciExpressCapability(spec.Port is null ? PciePortType.RootComplexEndpoint : PciePortType.Endpoint));
        if (spec.Port is not null)
        {
            AddCapability(new AriCapability());
        }

        foreach (TestBarSpec bar in spec.VfBars)
        {
            ulong share = Math.Max(bar.Size, SriovCapability.SmallestShare);
            _patterns.Add(bar.Index, new TestPatternBar(bar with { Size = share }, physical.Core.Accesses, share * (ulong)number));
        }
    }

    /// <summary>What answers the VF's part of the VF BAR with this index (<see cref="BarKinds.Vf0"/> and up), with offsets from its start.</summary>
    public IAccessHandler Handler(int index) => _patterns[index];

    /// <inheritdoc/>
    protected override void OnReset(ResetKind kind)
    {
        foreach (TestPatternBar pattern in _patterns.Values)
        {
            pattern.Reset();
        }
    }
}
