namespace Aperture.Devices.Serial;

/// <summary>Where a byte-wise output device (serial port, debug console) sends its bytes.</summary>
public interface ISerialBackend
{
    /// <summary>
    /// Takes one byte. Called on vCPU threads, several at once; does not allocate and does not throw. It may block
    /// for a bounded time while a slow reader catches up, and returns at once when the output is gone.
    /// </summary>
    void Write(byte value);
}

/// <summary>Takes every byte and keeps none.</summary>
public sealed class NullSerialBackend : ISerialBackend
{
    /// <summary>The one instance: there is no state.</summary>
    public static NullSerialBackend Instance { get; } = new();

    /// <inheritdoc/>
    public void Write(byte value)
    {
    }
}
