namespace Aperture.Devices.TestDevice;

/// <summary>
/// The test device without its PCI function: what answers its trapped BARs, its interrupt trigger and its DMA engine. The registers are in
/// <see cref="TestRegisters"/>. MSI-X table and pending bits are the function's; they cover the upper half of the BAR that
/// <see cref="TestDeviceSpec.MsixPlace"/> names.
/// </summary>
public sealed class TestDeviceCore : IResettable
{
    private const int BarCount = 6;

    private readonly IAccessHandler?[] _handlers = new IAccessHandler?[BarCount];
    private readonly TestAccessCounter _accesses = new();
    private readonly TestInterruptUnit _interrupts;
    private readonly TestDmaEngine _engine;

    /// <summary>Makes the device in its reset state.</summary>
    /// <param name="spec">What it has.</param>
    /// <param name="dma">Its way to guest memory; refuses while bus mastering is off.</param>
    /// <param name="interrupts">The interrupts of the function around it.</param>
    public TestDeviceCore(TestDeviceSpec spec, IDma dma, ITestInterrupts interrupts)
    {
        ArgumentNullException.ThrowIfNull(spec);
        Spec = spec;
        _interrupts = new TestInterruptUnit(interrupts, spec.MsiVectors, spec.MsixVectors);
        _engine = new TestDmaEngine(dma);
        TestBarSpec? registers = spec.RegisterBar;
        foreach (TestBarSpec bar in spec.Bars)
        {
            if (bar.Backing == TestBacking.Trap)
            {
                _handlers[bar.Index] = bar == registers
                    ? new TestRegisterBar(spec, bar, _interrupts, _engine, _accesses)
                    : new TestPatternBar(bar, _accesses);
            }
        }
    }

    /// <summary>What the device was made from.</summary>
    public TestDeviceSpec Spec { get; }

    /// <summary>Counts the accesses to BARs, those of VFs among them.</summary>
    internal TestAccessCounter Accesses => _accesses;

    /// <summary>How many accesses reached the trapped BARs since the last reset, the MSI-X structures not counted.</summary>
    public long AccessCount => _accesses.Total;

    /// <summary>What answers BAR <paramref name="index"/> with offsets from its start, or null when the BAR is absent or backed by RAM.</summary>
    public IAccessHandler? Handler(int index) => (uint)index < BarCount ? _handlers[index] : null;

    /// <inheritdoc/>
    public void Reset()
    {
        foreach (IAccessHandler? handler in _handlers)
        {
            (handler as TestRegisterBar)?.Reset();
            (handler as TestPatternBar)?.Reset();
        }

        _interrupts.Reset();
        _engine.Reset();
        _accesses.Reset();
    }
}
