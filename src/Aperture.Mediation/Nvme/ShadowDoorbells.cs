using System.Buffers.Binary;

namespace Aperture.Mediation.Nvme;

/// <summary>
/// Doorbells of the I/O queue in the guest's memory (NVM Express base specification 1.4, section 7.13): the guest writes there how far it is, and rings the
/// real doorbell only when it passes the index that the controller left in the other page. A guest that finds the controller at work rings nothing; the head of
/// the completion queue is rung for only when the queue was full.
/// </summary>
/// <param name="doorbells">Page of the doorbells.</param>
/// <param name="events">Page of the indices.</param>
internal sealed class ShadowDoorbells(GuestAddress doorbells, GuestAddress events)
{
    private const ulong Tail = 4 * 2 * GuestIdentity.IoQueue;
    private const ulong Head = Tail + 4;

    /// <summary>
    /// Takes over how far the guest submitted, and asks to be rung for what comes after that; false when the memory is not there.
    /// </summary>
    public bool TryReadTail(GuestRam ram, GuestSubmissionQueue queue)
    {
        if (!TryRead(ram, Tail, out uint tail))
        {
            return false;
        }

        queue.SetTail(tail);
        if (!TryWrite(ram, Tail, (uint)queue.Tail))
        {
            return false;
        }

        // The guest writes the doorbell and then looks at the index, this the other way round: one of the two sees the other.
        Interlocked.MemoryBarrier();
        bool there = TryRead(ram, Tail, out tail);
        queue.SetTail(tail);
        return there;
    }

    /// <summary>Takes over what the guest took; false when the memory is not there.</summary>
    public bool TryReadHead(GuestRam ram, GuestCompletionQueue queue)
    {
        bool there = TryRead(ram, Head, out uint head);
        queue.SetHead(there ? head : (uint)queue.Head);
        return there;
    }

    /// <summary>
    /// Asks to be rung for the next head when it is <paramref name="wanted"/>, else for one that does not come soon; false when the memory is not there.
    /// </summary>
    public bool TryAwaitHead(GuestRam ram, GuestCompletionQueue queue, bool wanted)
    {
        // An index just behind the guest's own is the last that it passes.
        uint index = wanted ? (uint)queue.Head : (uint)queue.Head - 1 & 0xFFFF;
        if (!TryWrite(ram, Head, index))
        {
            return false;
        }

        Interlocked.MemoryBarrier();
        return !wanted || TryReadHead(ram, queue);
    }

    private bool TryRead(GuestRam ram, ulong offset, out uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        bool there = ram.Read(doorbells + offset, bytes);
        value = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        return there;
    }

    private bool TryWrite(GuestRam ram, ulong offset, uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return ram.Write(events + offset, bytes);
    }
}
