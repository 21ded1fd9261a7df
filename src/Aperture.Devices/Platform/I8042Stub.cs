namespace Aperture.Devices;

/// <summary>A keyboard controller without a keyboard.</summary>
public sealed class I8042Stub(IMachineControl control, IInterruptLine? keyboardInterrupt = null) : IResettable
{
    /// <summary>The data port.</summary>
    public const ushort DataPort = 0x60;

    /// <summary>The command and status port.</summary>
    public const ushort CommandPort = 0x64;

    /// <summary>Ports taken at each of the two.</summary>
    public const ushort Length = 1;

    /// <summary>What answers <see cref="DataPort"/>.</summary>
    public IAccessHandler Data { get; } = new DummyPort();

    /// <summary>What answers <see cref="CommandPort"/>.</summary>
    public IAccessHandler Command { get; } = new DummyPort();

    /// <inheritdoc/>
    public void Reset()
    {
        keyboardInterrupt?.Set(false);
        _ = control;
    }
}
