namespace Aperture.Host.Reading;

/// <summary>Gives back bytes that were read to look at them, then the rest of the stream.</summary>
internal sealed class PrefixedStream(ReadOnlyMemory<byte> start, Stream rest) : ForwardStream
{
    private ReadOnlyMemory<byte> start = start;

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        if (start.IsEmpty)
        {
            return rest.Read(buffer, offset, count);
        }

        int taken = Math.Min(count, start.Length);
        start[..taken].CopyTo(buffer.AsMemory(offset));
        start = start[taken..];
        return taken;
    }
}
