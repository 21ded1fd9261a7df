using System.Buffers.Binary;

namespace Aperture.Mediation.Nvme;

/// <summary>
/// A submission queue in a guest's memory (NVM Express base specification 1.4, section 4.1). What the guest says of it is bounded, not believed.
/// </summary>
internal sealed class GuestSubmissionQueue(GuestAddress start, int entries)
{
    /// <summary>Entries.</summary>
    public int Entries => entries;

    /// <summary>The next entry to fetch.</summary>
    public int Head { get; private set; }

    /// <summary>The guest submitted up to here.</summary>
    public int Tail { get; private set; }

    /// <summary>The guest rang; a number that is no entry is ignored.</summary>
    public void SetTail(uint tail)
    {
        if (tail < (uint)entries)
        {
            Tail = (int)tail;
        }
    }

    /// <summary>Copies the next entry out and goes on behind it; false when the guest's memory is not there.</summary>
    public bool TryFetch(GuestRam ram, out SubmissionEntry entry)
    {
        Span<byte> bytes = stackalloc byte[SubmissionEntry.Length];
        bool there = ram.Read(start + (ulong)Head * SubmissionEntry.Length, bytes);
        entry = SubmissionEntry.Read(bytes);
        Head = (Head + 1) % entries;
        return there;
    }
}

/// <summary>A completion queue in a guest's memory (section 4.1).</summary>
internal sealed class GuestCompletionQueue(GuestAddress start, int entries, int vector, bool interrupts)
{
    private bool _phase = true;

    /// <summary>The guest took everything before.</summary>
    public int Head { get; private set; }

    /// <summary>The next entry to write.</summary>
    public int Tail { get; private set; }

    /// <summary>The vector that tells of new entries; -1 when the guest wants none.</summary>
    public int Vector => interrupts ? vector : -1;

    /// <summary>There is no room until the guest takes something.</summary>
    public bool IsFull => (Tail + 1) % entries == Head;

    /// <summary>The guest took entries; a number beyond those that it was given is ignored.</summary>
    public void SetHead(uint head)
    {
        if (head < (uint)entries && ((int)head - Head + entries) % entries <= (Tail - Head + entries) % entries)
        {
            Head = (int)head;
        }
    }

    /// <summary>Writes an entry, which has room; false when the guest's memory is not there.</summary>
    public bool TryPost(GuestRam ram, in CompletionEntry entry)
    {
        GuestAddress at = start + (ulong)Tail * CompletionEntry.Length;
        Span<byte> half = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(half, entry.Low);
        bool there = ram.Write(at, half);

        // The half with the phase tag last, in one store: the guest takes the entry by it.
        BinaryPrimitives.WriteUInt64LittleEndian(half, entry.High(_phase));
        there = there && ram.Write(at + 8, half);
        Tail++;
        if (Tail == entries)
        {
            (Tail, _phase) = (0, !_phase);
        }

        return there;
    }
}
