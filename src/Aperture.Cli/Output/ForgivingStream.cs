namespace Aperture.Cli.Output;

/// <summary>
/// A stream for writing that keeps its first failure instead of throwing it, and drops what comes after. A reader that went away (a broken pipe) is no
/// failure: it has read what it wanted. Thread-safe as far as the stream below is.
/// </summary>
/// <param name="open">Opens the stream, when it is first written to; null for one that was never open.</param>
internal sealed class ForgivingStream(Func<Stream>? open) : Stream
{
    private Stream? _stream;

    // Set once, by whichever thread failed first.
    private volatile string? _failure;

    /// <summary>False when there never was anything to write to.</summary>
    public bool IsOpen => open is not null;

    /// <summary>Why something was not written; null while everything was.</summary>
    public string? Failure => _failure;

    /// <inheritdoc/>
    public override bool CanRead => false;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => true;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (buffer.IsEmpty || _failure is not null)
        {
            return;
        }

        if (open is null)
        {
            _failure = "it is closed.";
            return;
        }

        try
        {
            // The console's stream takes a broken pipe for the end of the matter.
            (_stream ??= open()).Write(buffer);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            _failure = fault.Message;
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Flush()
    {
        // Nothing is kept here.
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();
}
