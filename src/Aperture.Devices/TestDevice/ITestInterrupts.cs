namespace Aperture.Devices.TestDevice;

/// <summary>
/// How a test device's core reaches the interrupts of the function it lives in. Thread-safe; nothing allocates or throws.
/// Masking and pending bits are the function's business.
/// </summary>
public interface ITestInterrupts
{
    /// <summary>True while the guest has MSI enabled.</summary>
    bool MsiEnabled { get; }

    /// <summary>True while the guest has MSI-X enabled.</summary>
    bool MsixEnabled { get; }

    /// <summary>Signals MSI <paramref name="vector"/>; below the spec's count.</summary>
    void FireMsi(int vector);

    /// <summary>Signals MSI-X <paramref name="vector"/>; below the spec's count.</summary>
    void FireMsix(int vector);

    /// <summary>Sets the level of INTx.</summary>
    void SetIntx(bool asserted);
}
