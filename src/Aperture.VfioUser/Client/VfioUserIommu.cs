using Aperture.Assignment;
using Aperture.Linux;
using Aperture.VfioUser.Protocol;

namespace Aperture.VfioUser.Client;

/// <summary>
/// What of the guest's memory a server reaches (vfio-user protocol, "VFIO_USER_DMA_MAP", "VFIO_USER_DMA_UNMAP"): memory with a file behind it is passed with
/// it, the rest is reached by messages. A dead server reaches nothing; then only the book is kept.
/// </summary>
internal sealed class VfioUserIommu(ServerConnection connection, string name, ISharedMemory? shared) : IIommuMap
{
    private ulong PageSizes => connection.Server.PageSizes is { } sizes and not 0 ? sizes : VersionCapabilities.DefaultPageSizes;

    /// <inheritdoc/>
    public IReadOnlyList<AddressRange> Ranges => [];

    /// <inheritdoc/>
    public ulong PageSize => PageSizes & (0 - PageSizes);

    /// <inheritdoc/>
    public int Map(AddressRange range, HostAddress host, bool writable)
    {
        lock (connection.Gate)
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
            errno = connection.Dead != 0 ? 0 : errno;
            if (errno != 0)
            {
                connection.Memory.Remove(range);
            }

            return errno;
        }
    }

    /// <inheritdoc/>
    public int Unmap(AddressRange range)
    {
        lock (connection.Gate)
        {
            if (!connection.Memory.Has(range))
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
            return connection.Dead != 0 ? 0 : errno;
        }
    }

    /// <inheritdoc/>
    public string WhyNot(int errno, AddressRange range, ulong locked, bool isDevice) => errno == Errno.ENOSPC
        ? $"the server of {name} takes no more than {connection.Server.MaxDmaMaps ?? VersionCapabilities.DefaultDmaMaps} runs of memory"
        : $"the server of {name} refused it ({Errno.Name(errno)})";

    /// <summary>Nothing: the connection's end takes all memory from the server.</summary>
    public void Dispose()
    {
    }
}
