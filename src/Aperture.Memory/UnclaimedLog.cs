namespace Aperture.Memory;

/// <summary>
/// Counts the accesses that nothing answered and lists the first distinct addresses; later addresses are only counted, so that a guest cannot
/// make it grow. Thread-safe; allocates nothing after it was made.
/// </summary>
public sealed class UnclaimedLog
{
    /// <summary>How many distinct addresses are listed.</summary>
    public const int Capacity = 64;

    private readonly Lock _gate = new();
    private readonly Action<UnclaimedAccess>? _firstSeen;

    // Slots below _listed are complete and their address, size and direction never change again: written under the lock before the
    // volatile write of _listed, read after a volatile read of it. Counts change by interlocked increments only.
    private readonly ulong[] _addresses = new ulong[Capacity];
    private readonly (byte Size, bool IsWrite)[] _first = new (byte, bool)[Capacity];
    private readonly long[] _counts = new long[Capacity];
    private int _listed;
    private long _total;

    /// <summary>Makes an empty log. <paramref name="firstSeen"/> is told each address that gets listed, on the thread that accessed it.</summary>
    public UnclaimedLog(Action<UnclaimedAccess>? firstSeen = null) => _firstSeen = firstSeen;

    /// <summary>All unclaimed accesses so far.</summary>
    public ulong Total => (ulong)Interlocked.Read(ref _total);

    /// <summary>Counts an access and lists its address if there is room.</summary>
    public void Record(GuestAddress address, int size, bool isWrite)
    {
        Interlocked.Increment(ref _total);
        int listed = Volatile.Read(ref _listed);
        int index = _addresses.AsSpan(0, listed).IndexOf(address.Value);
        if (index >= 0)
        {
            Interlocked.Increment(ref _counts[index]);
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
            result[i] = new UnclaimedAccess(
                new GuestAddress(_addresses[i]), _first[i].Size, _first[i].IsWrite, (ulong)Interlocked.Read(ref _counts[i]));
        }

        return result;
    }

    // Two threads may come here with one address: whoever takes the lock second finds it listed and only counts.
    internal void List(GuestAddress address, int size, bool isWrite)
    {
        lock (_gate)
        {
            int index = _addresses.AsSpan(0, _listed).IndexOf(address.Value);
            if (index >= 0 || _listed == Capacity)
            {
                if (index >= 0)
                {
                    Interlocked.Increment(ref _counts[index]);
                }

                return;
            }

            index = _listed;
            _addresses[index] = address.Value;
            _first[index] = ((byte)size, isWrite);
            _counts[index] = 1;
            Volatile.Write(ref _listed, index + 1);
        }

        _firstSeen?.Invoke(new UnclaimedAccess(address, size, isWrite, 1));
    }
}
