namespace Aperture.Memory;

/// <summary>
/// Counts the accesses that nothing answered and lists the first distinct addresses; later addresses are only counted, so that a guest cannot
/// make it grow. Each thread counts in a slot of its own, without interlocked operations. Thread-safe; allocates once a thread.
/// </summary>
public sealed class UnclaimedLog
{
    /// <summary>How many distinct addresses are listed.</summary>
    public const int Capacity = 64;

    private readonly Lock _gate = new();
    private readonly Action<UnclaimedAccess>? _firstSeen;

    // Slots below _listed are complete and their address, size and direction never change again: written under the lock before the
    // volatile write of _listed, read after a volatile read of it.
    private readonly ulong[] _addresses = new ulong[Capacity];
    private readonly (byte Size, bool IsWrite)[] _first = new (byte, bool)[Capacity];
    private readonly ThreadSlots<Slot> _slots = new();
    private int _listed;

    /// <summary>Makes an empty log. <paramref name="firstSeen"/> is told each address that gets listed, on the thread that accessed it.</summary>
    public UnclaimedLog(Action<UnclaimedAccess>? firstSeen = null) => _firstSeen = firstSeen;

    /// <summary>All unclaimed accesses so far.</summary>
    public ulong Total => Reads + Writes;

    /// <summary>Unclaimed reads so far.</summary>
    public ulong Reads => _slots.Sum(static slot => Volatile.Read(ref slot.Reads));

    /// <summary>Unclaimed writes so far.</summary>
    public ulong Writes => _slots.Sum(static slot => Volatile.Read(ref slot.Writes));

    /// <summary>Counts an access and lists its address if there is room.</summary>
    public void Record(GuestAddress address, int size, bool isWrite)
    {
        Slot slot = _slots.Mine;
        if (isWrite)
        {
            slot.Writes++;
        }
        else
        {
            slot.Reads++;
        }

        int listed = Volatile.Read(ref _listed);
        int index = _addresses.AsSpan(0, listed).IndexOf(address.Value);
        if (index >= 0)
        {
            slot.Counts[index]++;
        }
        else if (listed < Capacity)
        {
            List(address, size, isWrite);
        }
    }

    /// <summary>The listed addresses in the order in which they were first seen. A snapshot.</summary>
    public IReadOnlyList<UnclaimedAccess> Listed()
    {
        UnclaimedAccess[] result = new UnclaimedAccess[Volatile.Read(ref _listed)];
        for (int i = 0; i < result.Length; i++)
        {
            int place = i;
            result[i] = new UnclaimedAccess(
                new GuestAddress(_addresses[i]), _first[i].Size, _first[i].IsWrite, _slots.Sum(slot => Volatile.Read(ref slot.Counts[place])));
        }

        return result;
    }

    // Two threads may come here with one address: whoever takes the lock second finds it listed and only counts.
    internal void List(GuestAddress address, int size, bool isWrite)
    {
        Slot slot = _slots.Mine;
        lock (_gate)
        {
            int index = _addresses.AsSpan(0, _listed).IndexOf(address.Value);
            if (index >= 0 || _listed == Capacity)
            {
                if (index >= 0)
                {
                    slot.Counts[index]++;
                }

                return;
            }

            index = _listed;
            _addresses[index] = address.Value;
            _first[index] = ((byte)size, isWrite);
            slot.Counts[index]++;
            Volatile.Write(ref _listed, index + 1);
        }

        _firstSeen?.Invoke(new UnclaimedAccess(address, size, isWrite, 1));
    }

    // One thread's counts: plain additions by that thread, read as a region's are (AccessCell).
    private sealed class Slot
    {
        public ulong Reads;
        public ulong Writes;

        public ulong[] Counts { get; } = new ulong[Capacity];
    }
}
