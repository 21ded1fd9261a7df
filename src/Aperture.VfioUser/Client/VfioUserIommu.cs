using Aperture.Assignment;
using Aperture.Linux;
using Aperture.VfioUser.Protocol;

namespace Aperture.VfioUser.Client;

/// <summary>
/// What of the guest's memory a server reaches (vfio-user protocol, "VFIO_USER_DMA_MAP", "VFIO_USER_DMA_UNMAP"): memory with a file behind it is passed with
/// it, the rest is reached by messages. A dead server reaches nothing; then only the book is kept, for one that comes back.
/// </summary>
/// <param name="current">The device's connection, with its gate held.</param>
/// <param name="name">What messages call the device.</param>
/// <param name="shared">Where memory can be mapped from.</param>
internal sealed class VfioUserIommu(Func<ServerConnection> current, string name, ISharedMemory? shared) : IIommuMap
{
    // What the server has, or would have; by address, with the gate.
    private readonly Dictionary<AddressRange, (HostAddress Host, bool Writable)> _book = [];

    private ulong PageSizes => current().Server.PageSizes is { } sizes and not 0 ? sizes : VersionCapabilities.DefaultPageSizes;

    /// <inheritdoc/>
    public IReadOnlyList<AddressRange> Ranges => [];

    /// <inheritdoc/>
    public ulong PageSize => PageSizes & (0 - PageSizes);

    /// <inheritdoc/>
    public int Map(AddressRange range, HostAddress host, bool writable)
    {
        ServerConnection connection = current();
        lock (connection.Gate)
        {
            connection = current();
            int errno = Give(connection, range, host, writable);
            errno = connection.Dead != 0 && errno != Errno.EEXIST ? 0 : errno;
            if (errno == 0)
            {
                _book[range] = (host, writable);
            }

            return errno;
        }
    }

    /// <summary>Gives another server all that this one had; 0, or an errno. With the gate held.</summary>
    public int GiveAll(ServerConnection next)
    {
        foreach ((AddressRange range, (HostAddress host, bool writable)) in _book)
        {
            int errno = Give(next, range, host, writable);
            if (errno != 0)
            {
                return errno;
            }
        }

        return 0;
    }

    /// <inheritdoc/>
    public int Unmap(AddressRange range)
    {
        ServerConnection connection = current();
        lock (connection.Gate)
        {
            connection = current();
            if (!_book.ContainsKey(range))
            {
                return Errno.ENOENT;
            }

            Span<byte> request = stackalloc byte[DmaUnmapMessage.Length];
            DmaUnmapMessage message = new(DmaUnmapMessage.Length, 0, range.Start, range.Size);
            message.Write(request);
            int errno = connection.Exchange(VfioUserCommand.DmaUnmap, request, default, default, out ReadOnlySpan<byte> reply);
            if (errno == 0 && !(DmaUnmapMessage.TryRead(reply, out DmaUnmapMessage done) && done.Address == range.Start && done.Size == range.Size))
            {
                connection.Nonsense("answered an unmapping with something else");
            }

            connection.Memory.Remove(range);
            errno = connection.Dead != 0 ? 0 : errno;
            if (errno == 0)
            {
                _book.Remove(range);
            }

            return errno;
        }
    }

    /// <inheritdoc/>
    public string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice) => errno == Errno.ENOSPC
        ? $"the server of {name} takes no more than {current().Server.MaxDmaMaps ?? VersionCapabilities.DefaultDmaMaps} runs of memory"
        : $"the server of {name} refused it ({Errno.Name(errno)})";

    /// <summary>Nothing: the connection's end takes all memory from the server.</summary>
    public void Dispose()
    {
    }

    private int Give(ServerConnection connection, AddressRange range, HostAddress host, bool writable)
    {
        if (connection.Memory.Count >= (connection.Server.MaxDmaMaps ?? VersionCapabilities.DefaultDmaMaps))
        {
            return Errno.ENOSPC;
        }

        ulong offset = 0;
        SafeFileDescriptor? file = connection.MostDescriptors == 0 ? null : shared?.Find(host, range.Size, out offset);
        DmaMapFlags flags = DmaMapFlags.Readable | (writable ? DmaMapFlags.Writable : DmaMapFlags.None);
        Span<byte> request = stackalloc byte[DmaMapRequest.Length];
        new DmaMapRequest(DmaMapRequest.Length, flags, file is null ? 0 : offset, range.Start, range.Size).Write(request);

        // The server may use it before its answer is here.
        if (!connection.Memory.TryAdd(range, writable))
        {
            return Errno.EEXIST;
        }

        int errno = connection.Exchange(VfioUserCommand.DmaMap, request, default, file is null ? default : [file], out _);
        if (errno != 0 && connection.Dead == 0)
        {
            connection.Memory.Remove(range);
        }

        return errno;
    }
}
