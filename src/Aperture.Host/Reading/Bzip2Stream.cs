using ICSharpCode.SharpZipLib.BZip2;

namespace Aperture.Host;

/// <summary>Unpacks bzip2, also when several streams follow each other, as parallel packers write them.</summary>
internal sealed class Bzip2Stream(Stream packed) : Stream
{
    private BZip2InputStream? stream = Next(packed);

    /// <inheritdoc/>
    public override bool CanRead => true;

    /// <inheritdoc/>
    public override bool CanSeek => false;

    /// <inheritdoc/>
    public override bool CanWrite => false;

    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();

    /// <inheritdoc/>
    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        while (stream is not null && count != 0)
        {
            int got = stream.Read(buffer, offset, count);
            if (got > 0)
            {
                return got;
            }

            stream.Dispose();
            stream = packed.Position < packed.Length ? Next(packed) : null;
        }

        return 0;
    }

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            stream?.Dispose();
        }

        base.Dispose(disposing);
    }

    private static BZip2InputStream Next(Stream packed) => new(packed) { IsStreamOwner = false };
}
