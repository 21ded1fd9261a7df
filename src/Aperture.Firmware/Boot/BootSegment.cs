namespace Aperture.Firmware.Boot;

/// <summary>A run of guest memory to fill before the first instruction: bytes made here, or a slice of a file that is read only when asked.</summary>
public sealed class BootSegment
{
    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly BootFile? _file;
    private readonly ulong _fileOffset;

    /// <summary>Bytes made here.</summary>
    public BootSegment(string name, GuestAddress address, ReadOnlyMemory<byte> bytes)
    {
        Name = name;
        Address = address;
        Length = (ulong)bytes.Length;
        _bytes = bytes;
    }

    /// <summary>
    /// <paramref name="length"/> bytes of <paramref name="file"/> from <paramref name="offset"/>, then <paramref name="zeroTail"/> zero bytes.
    /// </summary>
    public BootSegment(string name, GuestAddress address, BootFile file, ulong offset, ulong length, ulong zeroTail = 0)
    {
        Name = name;
        Address = address;
        Length = length;
        ZeroTail = zeroTail;
        _file = file;
        _fileOffset = offset;
    }

    /// <summary>What it is, in a word or two, for messages.</summary>
    public string Name { get; }

    /// <summary>Where its first byte goes.</summary>
    public GuestAddress Address { get; }

    /// <summary>Bytes of content.</summary>
    public ulong Length { get; }

    /// <summary>Bytes after the content that must read zero. RAM that was never written needs no work.</summary>
    public ulong ZeroTail { get; init; }

    /// <summary>Content and tail.</summary>
    public AddressRange Range => new(Address, Length + ZeroTail);

    /// <summary>Copies content from <paramref name="offset"/> on into <paramref name="destination"/>, which may be guest memory itself.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The content is shorter than that.</exception>
    /// <exception cref="ApertureException">The file cannot be read any more.</exception>
    public void Read(ulong offset, Span<byte> destination)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)destination.Length, Length - offset, nameof(destination));
        if (_file is null)
        {
            _bytes.Span.Slice((int)offset, destination.Length).CopyTo(destination);
        }
        else
        {
            _file.Read(_fileOffset + offset, destination);
        }
    }
}
