using System.Buffers;
using Aperture.Linux;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Client;

/// <summary>
/// What the server was given of the guest's memory, and the answers to its accesses by message (vfio-user protocol, "VFIO_USER_DMA_READ",
/// "VFIO_USER_DMA_WRITE"): only what was given is reached. Thread-safe.
/// </summary>
/// <param name="memory">The guest's memory; null when there is none, so that every access is refused.</param>
/// <param name="mostData">The most bytes of one access.</param>
internal sealed class ExportedMemory(IDma? memory, int mostData)
{
    private readonly Lock _gate = new();

    // By address, disjoint.
    private readonly SortedList<GuestAddress, (AddressRange Range, bool Writable)> _ranges = [];

    /// <summary>How many runs the server has.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _ranges.Count;
            }
        }
    }

    /// <summary>The server has it from now on; false when it has a part of it already.</summary>
    public bool TryAdd(AddressRange range, bool writable)
    {
        lock (_gate)
        {
            int before = LastStartingAtOrBefore(range.Last);
            if (before >= 0 && _ranges.Values[before].Range.Overlaps(range))
            {
                return false;
            }

            _ranges.Add(range.Start, (range, writable));
            return true;
        }
    }

    /// <summary>True when the server has exactly that run.</summary>
    public bool Has(AddressRange range)
    {
        lock (_gate)
        {
            return _ranges.TryGetValue(range.Start, out (AddressRange Range, bool Writable) found) && found.Range == range;
        }
    }

    /// <summary>The server has it no more.</summary>
    public void Remove(AddressRange range)
    {
        lock (_gate)
        {
            _ranges.Remove(range.Start);
        }
    }

    /// <summary>Answers a command of the server on the socket that it came on; false when the connection is of no use any more.</summary>
    public bool Answer(MessageSocket socket, MessageHeader header, ReadOnlySpan<byte> payload)
    {
        byte[] reply = ArrayPool<byte>.Shared.Rent(MessageHeader.Length + DmaAccess.Length + mostData);
        try
        {
            int errno = header.Command switch
            {
                VfioUserCommand.DmaRead => Read(payload, reply.AsSpan(MessageHeader.Length), out int length) is var e && e != 0 ? e : Ready(length),
                VfioUserCommand.DmaWrite => Write(payload, reply.AsSpan(MessageHeader.Length)) is var e && e != 0 ? e : Ready(DmaAccess.Length),
                _ => Errno.ENOSYS,
            };
            if (!header.WantsReply)
            {
                return true;
            }

            int size = errno < 0 ? -errno : 0;
            (errno < 0 ? header.Answer(size) : header.Failure(errno)).Write(reply);
            return socket.Send(reply.AsSpan(0, MessageHeader.Length + size)) == 0;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(reply);
        }

        // A reply's length, told apart from an errno.
        static int Ready(int length) => -length;
    }

    private int Read(ReadOnlySpan<byte> payload, Span<byte> reply, out int length)
    {
        length = 0;
        if (payload.Length != DmaAccess.Length || !DmaAccess.TryRead(payload, out DmaAccess access) || !MayBe(access))
        {
            return Errno.EINVAL;
        }

        int count = (int)access.Count;
        if (!IsGiven(access.Address, count, write: false) || memory is null || !memory.Read(access.Address, reply.Slice(DmaAccess.Length, count)))
        {
            return Errno.EFAULT;
        }

        access.Write(reply);
        length = DmaAccess.Length + count;
        return 0;
    }

    private int Write(ReadOnlySpan<byte> payload, Span<byte> reply)
    {
        if (!DmaAccess.TryRead(payload, out DmaAccess access) || !MayBe(access) || (uint)(payload.Length - DmaAccess.Length) != access.Count)
        {
            return Errno.EINVAL;
        }

        if (!IsGiven(access.Address, (int)access.Count, write: true) || memory is null || !memory.Write(access.Address, payload[DmaAccess.Length..]))
        {
            return Errno.EFAULT;
        }

        access.Write(reply);
        return 0;
    }

    // No bytes are nowhere, so nobody could say whether they were given.
    private bool MayBe(DmaAccess access) => access.Count > 0 && access.Count <= (uint)mostData;

    // Every byte is in a run that the server has; runs may touch.
    private bool IsGiven(GuestAddress address, int count, bool write)
    {
        lock (_gate)
        {
            while (count > 0)
            {
                int at = LastStartingAtOrBefore(address);
                (AddressRange range, bool writable) = at < 0 ? default : _ranges.Values[at];
                if (!range.Contains(address) || (write && !writable))
                {
                    return false;
                }

                ulong step = Math.Min(range.Size - (address - range.Start), (ulong)count);
                address += step;
                count -= (int)step;
            }

            return true;
        }
    }

    private int LastStartingAtOrBefore(GuestAddress address)
    {
        int low = 0;
        int high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges.Keys[middle] <= address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low - 1;
    }
}
