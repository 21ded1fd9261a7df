namespace Aperture.Devices;

/// <summary>ICH9 power management I/O block.</summary>
public sealed class AcpiPmBlock : IAccessHandler, IResettable, IDisposable
{
    /// <summary>Ports taken from PMBASE.</summary>
    public const ushort Length = 128;

    /// <summary>SLP_TYP that means soft off; what the \_S5 package must say.</summary>
    public const byte SoftOffSleepType = 7;

    private readonly IInterruptLine _sci;

    /// <summary>Makes the block.</summary>
    public AcpiPmBlock(TimeProvider clock, IInterruptLine sci, IMachineControl control, bool alwaysAcpi = true) => (_, _sci, _, _) = (clock, sci, control, alwaysAcpi);

    /// <summary>Presses the power button.</summary>
    public void PressPowerButton()
    {
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        value = ulong.MaxValue;
        return AccessResult.Unclaimed;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessResult.Unclaimed;

    /// <inheritdoc/>
    public void Reset() => _sci.Set(false);

    /// <summary>Stops the timer.</summary>
    public void Dispose()
    {
    }
}
