namespace Aperture.Host.Reading;

/// <summary>
/// Stands between an unpacker and <see cref="System.Formats.Tar.TarReader"/>: counts what is unpacked, and looks at each header before the reader does, because
/// the reader allocates whatever size a long name or an extended header claims.
/// </summary>
internal sealed class TarGuardStream(Stream inner, string name) : Stream
{
    private const int Block = 512;
    private readonly byte[] _header = new byte[Block];
    private long _position;
    private long _nextHeader;

    /// <summary>True once the zero block that ends an archive went by: without it the archive was cut off.</summary>
    internal bool SawEnd { get; private set; }

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
        get => _position;
        set => throw new NotSupportedException();
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer)
    {
        int count = inner.Read(buffer);
        Watch(buffer[..count]);
        return count;
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

    private void Watch(ReadOnlySpan<byte> data)
    {
        if (_position + data.Length > HostLimits.Unpacked)
        {
            throw new ApertureException($"{name}: unpacks to more than {ByteSize.Format(HostLimits.Unpacked)}");
        }

        while (!data.IsEmpty)
        {
            if (_position < _nextHeader)
            {
                int skip = (int)Math.Min(data.Length, _nextHeader - _position);
                _position += skip;
                data = data[skip..];
                continue;
            }

            int filled = (int)(_position - _nextHeader);
            int take = Math.Min(Block - filled, data.Length);
            data[..take].CopyTo(_header.AsSpan(filled));
            _position += take;
            data = data[take..];
            if (filled + take == Block)
            {
                CheckHeader();
            }
        }
    }

    private void CheckHeader()
    {
        SawEnd |= _header[0] == 0 && !_header.AsSpan().ContainsAnyExcept((byte)0);

        // POSIX.1-2017 pax, "ustar Interchange Format": size at 124, 12 bytes, octal or (GNU) base 256; type at 156.
        long size = TarNumber(_header.AsSpan(124, 12));
        char type = (char)_header[156];
        if (type is 'x' or 'g' or 'L' or 'K' && size > HostLimits.ArchiveHeader)
        {
            throw new ApertureException($"{name}: the archive header at byte {_nextHeader} claims a name of {size} bytes");
        }

        // Links, devices, directories and pipes have no data, whatever their size says.
        bool hasData = type is not (>= '1' and <= '6');
        _nextHeader = _position + (hasData ? Math.Min((size + Block - 1) / Block * Block, HostLimits.Unpacked * 2) : 0);
    }

    private static long TarNumber(ReadOnlySpan<byte> field)
    {
        long value = 0;
        if ((field[0] & 0x80) != 0)
        {
            foreach (byte b in field[4..])
            {
                value = value << 8 | b;
            }

            return Math.Clamp(value, 0, long.MaxValue / 2);
        }

        foreach (byte b in field)
        {
            if (b is >= (byte)'0' and <= (byte)'7')
            {
                value = value << 3 | (uint)(b - '0');
            }
        }

        return value;
    }
}
