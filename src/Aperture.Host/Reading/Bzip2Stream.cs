using ICSharpCode.SharpZipLib.BZip2;

namespace Aperture.Host.Reading;

/// <summary>Unpacks bzip2, also when several streams follow each other, as parallel packers write them.</summary>
internal sealed class Bzip2Stream(Stream packed) : ForwardStream
{
    private BZip2InputStream? _stream = Next(packed);

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count)
    {
        while (_stream is not null && count != 0)
        {
            int got = _stream.Read(buffer, offset, count);
            if (got > 0)
            {
                return got;
            }

            _stream.Dispose();
            _stream = packed.Position < packed.Length ? Next(packed) : null;
        }

        return 0;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _stream?.Dispose();
        }

        base.Dispose(disposing);
    }

    private static BZip2InputStream Next(Stream packed) => new(packed) { IsStreamOwner = false };
}
