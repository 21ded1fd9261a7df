namespace Aperture.Devices;

/// <summary>The test device without its PCI function.</summary>
public sealed class TestDeviceCore : IResettable
{
    private readonly ITestInterrupts _interrupts;

    /// <summary>Makes the device.</summary>
    public TestDeviceCore(TestDeviceSpec spec, IDma dma, ITestInterrupts interrupts)
    {
        _interrupts = interrupts;
        Spec = spec;
        _ = dma;
    }

    /// <summary>What the device was made from.</summary>
    public TestDeviceSpec Spec { get; }

    /// <summary>What answers BAR <paramref name="index"/>, or null when the BAR is absent or backed by RAM.</summary>
    public IAccessHandler? Handler(int index) => index < 0 ? null : new DummyPort();

    /// <inheritdoc/>
    public void Reset() => _interrupts.SetIntx(false);
}
