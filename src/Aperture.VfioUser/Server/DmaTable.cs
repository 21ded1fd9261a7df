using Aperture.Linux;
using Aperture.Memory;

namespace Aperture.VfioUser.Server;

/// <summary>One run of the client's memory.</summary>
/// <param name="Range">Where it is for the device.</param>
/// <param name="Readable">The device may read.</param>
/// <param name="Writable">The device may write.</param>
/// <param name="Memory">The memory itself; null when only messages reach it.</param>
internal sealed record DmaMapping(AddressRange Range, bool Readable, bool Writable, PeerMemory? Memory);

/// <summary>How an access to one run of memory went.</summary>
internal enum DmaOutcome
{
    /// <summary>Not all of the bytes are the client's, or not for that.</summary>
    Refused,

    /// <summary>Done.</summary>
    Done,

    /// <summary>The bytes are the client's, and only messages reach them.</summary>
    ByMessage,
}

/// <summary>The memory that a client gave: disjoint runs by address. Thread-safe: an access is over before a run that it uses is taken back.</summary>
/// <param name="most">How many runs there may be.</param>
internal sealed class DmaTable(int most)
{
    private readonly Lock _gate = new();

    // Sorted by address, disjoint.
    private readonly List<DmaMapping> _mappings = [];

    /// <summary>How many runs there are.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _mappings.Count;
            }
        }
    }

    /// <summary>The runs by address.</summary>
    public IReadOnlyList<AddressRange> Ranges
    {
        get
        {
            lock (_gate)
            {
                return [.. _mappings.Select(static m => m.Range)];
            }
        }
    }

    /// <summary>Adds a run; EEXIST when it overlaps another, ENOSPC when there are too many. Its memory is the table's when the answer is 0.</summary>
    public int Add(DmaMapping mapping)
    {
        lock (_gate)
        {
            int at = FirstEndingAtOrAfter(mapping.Range.Start);
            if (at < _mappings.Count && _mappings[at].Range.Overlaps(mapping.Range))
            {
                return Errno.EEXIST;
            }

            if (_mappings.Count >= most)
            {
                return Errno.ENOSPC;
            }

            _mappings.Insert(at, mapping);
            return 0;
        }
    }

    /// <summary>True when exactly this run was added.</summary>
    public bool Has(AddressRange range)
    {
        lock (_gate)
        {
            int at = FirstEndingAtOrAfter(range.Start);
            return at < _mappings.Count && _mappings[at].Range == range;
        }
    }

    /// <summary>Takes a run back, exactly as it was added; ENOENT when there is none such.</summary>
    public int Remove(AddressRange range)
    {
        lock (_gate)
        {
            int at = FirstEndingAtOrAfter(range.Start);
            if (at == _mappings.Count || _mappings[at].Range != range)
            {
                return Errno.ENOENT;
            }

            _mappings[at].Memory?.Dispose();
            _mappings.RemoveAt(at);
            return 0;
        }
    }

    /// <summary>Takes all runs back.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            foreach (DmaMapping mapping in _mappings)
            {
                mapping.Memory?.Dispose();
            }

            _mappings.Clear();
        }
    }

    /// <summary>Reads as much of the destination as one run has from the address on.</summary>
    public DmaOutcome Read(GuestAddress address, Span<byte> destination, out int count)
    {
        lock (_gate)
        {
            if (!TryFind(address, destination.Length, out DmaMapping? mapping, out ulong offset, out count) || !mapping!.Readable)
            {
                return DmaOutcome.Refused;
            }

            return mapping.Memory is not { } memory ? DmaOutcome.ByMessage
                : memory.Read(offset, destination[..count]) ? DmaOutcome.Done : DmaOutcome.Refused;
        }
    }

    /// <summary>Writes as much of the source as one run has from the address on.</summary>
    public DmaOutcome Write(GuestAddress address, ReadOnlySpan<byte> source, out int count)
    {
        lock (_gate)
        {
            if (!TryFind(address, source.Length, out DmaMapping? mapping, out ulong offset, out count) || !mapping!.Writable)
            {
                return DmaOutcome.Refused;
            }

            return mapping.Memory is not { } memory ? DmaOutcome.ByMessage
                : memory.Write(offset, source[..count]) ? DmaOutcome.Done : DmaOutcome.Refused;
        }
    }

    private bool TryFind(GuestAddress address, int length, out DmaMapping? mapping, out ulong offset, out int count)
    {
        int at = FirstEndingAtOrAfter(address);
        bool found = at < _mappings.Count && _mappings[at].Range.Contains(address);
        mapping = found ? _mappings[at] : null;
        offset = found ? address - mapping!.Range.Start : 0;
        count = found ? (int)Math.Min((ulong)length, mapping!.Range.Size - offset) : 0;
        return found;
    }

    private int FirstEndingAtOrAfter(GuestAddress address)
    {
        int low = 0;
        int high = _mappings.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_mappings[middle].Range.Last < address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }
}
