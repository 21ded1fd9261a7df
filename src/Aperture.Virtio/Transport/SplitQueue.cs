using System.Buffers.Binary;

namespace Aperture.Virtio.Transport;

/// <summary>What the driver programmed for one queue (VIRTIO 1.2, section 4.1.4.3).</summary>
/// <param name="Size">Descriptors in it, a power of two.</param>
/// <param name="Descriptors">Guest address of the descriptor table.</param>
/// <param name="Driver">Guest address of the available ring.</param>
/// <param name="Device">Guest address of the used ring.</param>
internal readonly record struct QueueSetup(ushort Size, ulong Descriptors, ulong Driver, ulong Device)
{
    /// <summary>True when size and alignments are legal and no part passes 2^64 (section 2.7).</summary>
    public bool IsSane(ushort largest) =>
        Size != 0 && Size <= largest && (Size & (Size - 1)) == 0
        && (Descriptors & 15) == 0 && (Driver & 1) == 0 && (Device & 3) == 0
        && AddressRange.Fits(new GuestAddress(Descriptors), 16UL * Size)
        && AddressRange.Fits(new GuestAddress(Driver), 6 + (2UL * Size))
        && AddressRange.Fits(new GuestAddress(Device), 6 + (8UL * Size));
}

/// <summary>What looking for a request found.</summary>
internal enum TakeResult
{
    /// <summary>The chain holds one.</summary>
    Taken,

    /// <summary>There is none.</summary>
    Empty,

    /// <summary>Guest memory did not answer.</summary>
    Unreachable,

    /// <summary>The driver broke the rules: a loop, a bad index, a bad length.</summary>
    Broken,
}

/// <summary>
/// The device's side of one split virtqueue (VIRTIO 1.2, section 2.7). Used by one thread. Every number that comes out of guest memory is
/// checked before use, each is read once, and a walk takes at most as many steps as the chain has room.
/// </summary>
/// <param name="dma">The way to the rings and buffers.</param>
/// <param name="largestChain">Most buffers in one request.</param>
internal sealed class SplitQueue(IDma dma, int largestChain)
{
    private const int DescriptorSize = 16;
    private const ushort NextFlag = 1;
    private const ushort WriteFlag = 2;
    private const ushort IndirectFlag = 4;
    private const ushort NoInterruptFlag = 1;

    private readonly record struct Descriptor(ulong Address, uint Length, ushort Flags, ushort Next);

    private QueueSetup _setup;
    private ushort _taken;
    private ushort _returned;

    /// <summary>The request that <see cref="Take"/> found.</summary>
    public DescriptorChain Chain { get; } = new(dma, largestChain);

    /// <summary>Begins anew with empty rings.</summary>
    public void Start(QueueSetup setup)
    {
        _setup = setup;
        (_taken, _returned) = (0, 0);
    }

    /// <summary>Takes the next request into <see cref="Chain"/>.</summary>
    public TakeResult Take(bool indirectAllowed)
    {
        if (!ReadU16(_setup.Driver + 2, out ushort offered))
        {
            return TakeResult.Unreachable;
        }

        ushort waiting = (ushort)(offered - _taken);
        if (waiting == 0)
        {
            return TakeResult.Empty;
        }

        if (waiting > _setup.Size)
        {
            return TakeResult.Broken;
        }

        ulong slot = (ulong)(_taken & (_setup.Size - 1));
        if (!ReadU16(_setup.Driver + 4 + (2 * slot), out ushort head))
        {
            return TakeResult.Unreachable;
        }

        _taken++;
        return Walk(head, indirectAllowed);
    }

    /// <summary>Gives the request back. False when guest memory did not take it.</summary>
    /// <param name="written">Bytes written to its writable part.</param>
    /// <param name="interrupt">Whether the driver wants to hear of it.</param>
    public bool Return(uint written, out bool interrupt)
    {
        interrupt = false;
        Span<byte> element = stackalloc byte[8];
        BinaryPrimitives.WriteUInt32LittleEndian(element, Chain.Head);
        BinaryPrimitives.WriteUInt32LittleEndian(element[4..], written);
        ulong slot = (ulong)(_returned & (_setup.Size - 1));
        if (!dma.Write(new GuestAddress(_setup.Device + 4 + (8 * slot)), element))
        {
            return false;
        }

        _returned++;
        Span<byte> index = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(index, _returned);

        // The element must be visible before the index that publishes it, and the index before the driver's wish is read (section 2.7.8.2, 2.7.7.2).
        Thread.MemoryBarrier();
        if (!dma.Write(new GuestAddress(_setup.Device + 2), index))
        {
            return false;
        }

        Thread.MemoryBarrier();
        bool read = ReadU16(_setup.Driver, out ushort flags);
        interrupt = read && (flags & NoInterruptFlag) == 0;
        return read;
    }

    private TakeResult Walk(ushort head, bool indirectAllowed)
    {
        Chain.Start(head);
        ulong table = _setup.Descriptors;
        int size = _setup.Size;
        int index = head;
        bool inIndirect = false;
        for (int steps = 0; steps <= largestChain; steps++)
        {
            if (index >= size)
            {
                return TakeResult.Broken;
            }

            if (!ReadDescriptor(table + ((ulong)index * DescriptorSize), out Descriptor descriptor))
            {
                return TakeResult.Unreachable;
            }

            if ((descriptor.Flags & IndirectFlag) != 0)
            {
                if (inIndirect || !indirectAllowed || !IsTable(descriptor))
                {
                    return TakeResult.Broken;
                }

                (table, size, index, inIndirect) = (descriptor.Address, (int)(descriptor.Length / DescriptorSize), 0, true);
                continue;
            }

            if (!Chain.Add(descriptor.Address, descriptor.Length, (descriptor.Flags & WriteFlag) != 0))
            {
                return TakeResult.Broken;
            }

            if ((descriptor.Flags & NextFlag) == 0)
            {
                return TakeResult.Taken;
            }

            index = descriptor.Next;
        }

        return TakeResult.Broken;
    }

    // An indirect table ends the chain it is in, and holds whole descriptors (section 2.7.5.3.1).
    private static bool IsTable(Descriptor descriptor) =>
        (descriptor.Flags & NextFlag) == 0
        && descriptor.Length is > 0 and <= DescriptorSize * 65536
        && descriptor.Length % DescriptorSize == 0
        && AddressRange.Fits(new GuestAddress(descriptor.Address), descriptor.Length);

    private bool ReadDescriptor(ulong address, out Descriptor descriptor)
    {
        Span<byte> bytes = stackalloc byte[DescriptorSize];
        bool read = dma.Read(new GuestAddress(address), bytes);
        descriptor = new Descriptor(
            BinaryPrimitives.ReadUInt64LittleEndian(bytes),
            BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[12..]),
            BinaryPrimitives.ReadUInt16LittleEndian(bytes[14..]));
        return read;
    }

    private bool ReadU16(ulong address, out ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        bool read = dma.Read(new GuestAddress(address), bytes);
        value = BinaryPrimitives.ReadUInt16LittleEndian(bytes);
        return read;
    }
}
