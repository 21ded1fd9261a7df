namespace Aperture.Host.Reading;

/// <summary>Gives back bytes that were read to look at them, then the rest of the stream.</summary>
internal sealed class PrefixedStream(ReadOnlyMemory<byte> start, Stream rest) : ForwardStream
{
    private ReadOnlyMemory<byte> _start = start;

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        if (_start.IsEmpty)
        {
            return rest.Read(buffer, offset, count);
        }

        int taken = Math.Min(count, _start.Length);
        _start[..taken].CopyTo(buffer.AsMemory(offset));
        _start = _start[taken..];
        return taken;
    }
}
