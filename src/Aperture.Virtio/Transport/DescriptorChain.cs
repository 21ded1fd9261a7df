namespace Aperture.Virtio.Transport;

/// <summary>
/// The buffers of one request: first those the device reads, then those it writes (VIRTIO 1.2, section 2.7.4). Each part is addressed as one run
/// of bytes. The object is used again for every request; nothing throws or allocates.
/// </summary>
public sealed class DescriptorChain
{
    private readonly Segment[] _segments;
    private readonly IDma _dma;
    private int _count;
    private int _readable;

    /// <summary>Makes an empty chain that reaches the guest through <paramref name="dma"/> and holds at most <paramref name="capacity"/> buffers.</summary>
    internal DescriptorChain(IDma dma, int capacity)
    {
        _dma = dma;
        _segments = new Segment[capacity];
    }

    private readonly record struct Segment(ulong Address, uint Length);

    /// <summary>Bytes in the part that the device reads.</summary>
    public ulong ReadableLength { get; private set; }

    /// <summary>Bytes in the part that the device writes.</summary>
    public ulong WritableLength { get; private set; }

    /// <summary>How many buffers there are.</summary>
    public int Count => _count;

    /// <summary>Index of the descriptor that the chain started with, as the used ring names it.</summary>
    internal ushort Head { get; private set; }

    /// <summary>Copies bytes of the readable part from <paramref name="offset"/>. False when they are not all there or memory refused.</summary>
    public bool Read(ulong offset, Span<byte> destination)
    {
        if (offset > ReadableLength || (ulong)destination.Length > ReadableLength - offset)
        {
            return false;
        }

        bool whole = true;
        for (int i = 0; i < _readable && !destination.IsEmpty; i++)
        {
            Segment segment = _segments[i];
            if (offset >= segment.Length)
            {
                offset -= segment.Length;
                continue;
            }

            int length = (int)Math.Min((ulong)destination.Length, segment.Length - offset);
            whole &= _dma.Read(new GuestAddress(segment.Address + offset), destination[..length]);
            destination = destination[length..];
            offset = 0;
        }

        return whole;
    }

    /// <summary>Copies bytes into the writable part at <paramref name="offset"/>. False when they do not all fit or memory refused.</summary>
    public bool Write(ulong offset, ReadOnlySpan<byte> source)
    {
        if (offset > WritableLength || (ulong)source.Length > WritableLength - offset)
        {
            return false;
        }

        bool whole = true;
        for (int i = _readable; i < _count && !source.IsEmpty; i++)
        {
            Segment segment = _segments[i];
            if (offset >= segment.Length)
            {
                offset -= segment.Length;
                continue;
            }

            int length = (int)Math.Min((ulong)source.Length, segment.Length - offset);
            whole &= _dma.Write(new GuestAddress(segment.Address + offset), source[..length]);
            source = source[length..];
            offset = 0;
        }

        return whole;
    }

    /// <summary>Empties the chain for a request that starts at <paramref name="head"/>.</summary>
    internal void Start(ushort head)
    {
        Head = head;
        (_count, _readable) = (0, 0);
        (ReadableLength, WritableLength) = (0, 0);
    }

    /// <summary>Adds a buffer. False when the chain is full, the buffer passes 2^64, or a readable buffer follows a writable one (section 2.7.4.2).</summary>
    internal bool Add(ulong address, uint length, bool writable)
    {
        if (_count == _segments.Length || !AddressRange.Fits(new GuestAddress(address), length) || (!writable && _readable != _count))
        {
            return false;
        }

        _segments[_count++] = new Segment(address, length);
        if (writable)
        {
            WritableLength += length;
        }
        else
        {
            _readable++;
            ReadableLength += length;
        }

        return true;
    }
}
