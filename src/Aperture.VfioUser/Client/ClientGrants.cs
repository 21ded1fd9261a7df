using Aperture.Assignment;
using Aperture.Linux;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Client;

/// <summary>
/// A client's side of the extension for mediated pages (docs/vfio-user.md): the memory objects that it was given, and the order of grants and revocations. One
/// lock is held while either is carried out, so that no grant that is older than a revocation comes after it.
/// </summary>
internal sealed class ClientGrants(IGrantHolder holder) : IDisposable
{
    // A server has few; one that has more is broken.
    private const int MostSources = 1024;
    private const ulong Page = 4096;

    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, SafeFileDescriptor> _sources = [];
    private ulong _generation;
    private int _resets;

    /// <summary>How many regions the device has.</summary>
    public int Regions { get; set; }

    /// <summary>Moves on with each reset and at the end, which revoke everything without a generation.</summary>
    public int Resets => Volatile.Read(ref _resets);

    /// <summary>The newest revocation that was carried out.</summary>
    public ulong Generation => Volatile.Read(ref _generation);

    /// <summary>Carries a revocation out and acknowledges it; false when the server does not take that.</summary>
    public bool Answer(MessageSocket socket, MessageHeader header, ReadOnlySpan<byte> payload)
    {
        Span<byte> reply = stackalloc byte[MessageHeader.Length + RevokeMessage.Length];
        if (!RevokeMessage.TryRead(payload, out RevokeMessage message) || message.Region > int.MaxValue)
        {
            header.Failure(Errno.EINVAL).Write(reply);
            return socket.Send(reply[..MessageHeader.Length]) == 0;
        }

        lock (_gate)
        {
            // They may overtake each other; the newest counts.
            _generation = Math.Max(_generation, message.Generation);
            holder.Revoked((int)message.Region, message.Offset, message.Size);
        }

        header.Answer(RevokeMessage.Length).Write(reply);
        message.Write(reply[MessageHeader.Length..]);
        return socket.Send(reply) == 0;
    }

    /// <summary>Takes everything back, and drops the answers that are under way: for a reset, and at the end.</summary>
    public void TakeAll()
    {
        lock (_gate)
        {
            _resets++;
            for (int region = 0; region < Regions; region++)
            {
                holder.Revoked(region, 0, ulong.MaxValue);
            }
        }
    }

    /// <summary>
    /// Takes an answer, and the descriptor that came with it. Null when a revocation overtook it, or a reset since there were so many;
    /// <see cref="TouchOutcome.Refused"/> also for a grant that cannot be.
    /// </summary>
    public TouchOutcome? Take(FaultReply reply, int resets, SafeFileDescriptor? file, ulong touched, List<VfioArea> areas, Action<GrantedPages> install)
    {
        lock (_gate)
        {
            bool isNew = file is not null && _sources.Count < MostSources && _sources.TryAdd(reply.Source, file);
            if (!isNew)
            {
                file?.Dispose();
            }

            if (reply.Answer != (uint)FaultCode.Grant)
            {
                return reply.Answer == (uint)FaultCode.Trap ? TouchOutcome.Trap : TouchOutcome.Refused;
            }

            bool fits = (reply.Offset | reply.Size | reply.SourceOffset) % Page == 0 && touched >= reply.Offset && touched - reply.Offset < reply.Size
                && areas.Exists(a => reply.Offset >= a.Offset && reply.Offset - a.Offset < a.Size && reply.Size <= a.Size - (reply.Offset - a.Offset));
            if (!fits || !_sources.TryGetValue(reply.Source, out SafeFileDescriptor? source) || !Holds(source, reply))
            {
                return TouchOutcome.Refused;
            }

            if (reply.Generation < _generation || resets != _resets)
            {
                return null;
            }

            install(new GrantedPages((int)reply.Region, reply.Offset, reply.Size, source, reply.SourceOffset, (reply.Protection & 2) != 0, reply.Source));
            return TouchOutcome.Granted;
        }
    }

    /// <summary>Closes the memory objects. What is mapped of them stays mapped.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            foreach (SafeFileDescriptor source in _sources.Values)
            {
                source.Dispose();
            }

            _sources.Clear();
        }
    }

    // Memory that a file has not, or may lose, would end the guest at its first touch. A device says when it is mapped what it has not.
    private static bool Holds(SafeFileDescriptor source, FaultReply reply)
    {
        int errno = MemoryFile.TryLength(source, out ulong length);
        if (errno != Errno.EINVAL)
        {
            return errno == 0 && reply.SourceOffset <= length && reply.Size <= length - reply.SourceOffset;
        }

        bool writable = (reply.Protection & 2) != 0;
        if (reply.SourceOffset > long.MaxValue || MemoryMap.MapShared(source, reply.SourceOffset, reply.Size, writable, out HostAddress host) != 0)
        {
            return false;
        }

        _ = MemoryMap.Unmap(host, reply.Size);
        return true;
    }

    private enum FaultCode : uint
    {
        Trap = 1,
        Grant = 2,
    }
}
