using System.Buffers;
using Aperture.Linux;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Server;

/// <summary>
/// The client's memory as the device uses it: what was given with a descriptor directly, the rest by messages (vfio-user protocol, "VFIO_USER_DMA_READ",
/// "VFIO_USER_DMA_WRITE") over the twin socket where there is one, else over the one socket, whose replies the session's thread hands over.
/// </summary>
internal sealed class ClientMemory(DmaTable table, IMessageExchange exchange, int mostData) : IDma
{
    /// <inheritdoc/>
    public bool Read(GuestAddress address, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            DmaOutcome outcome = table.Read(address, destination, out int count);
            count = outcome == DmaOutcome.ByMessage ? Math.Min(count, mostData) : count;
            if (outcome == DmaOutcome.Refused || (outcome == DmaOutcome.ByMessage && !Ask(address, destination[..count])))
            {
                return false;
            }

            address += (ulong)count;
            destination = destination[count..];
        }

        return true;
    }

    /// <inheritdoc/>
    public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            DmaOutcome outcome = table.Write(address, source, out int count);
            count = outcome == DmaOutcome.ByMessage ? Math.Min(count, mostData) : count;
            if (outcome == DmaOutcome.Refused || (outcome == DmaOutcome.ByMessage && !Tell(address, source[..count])))
            {
                return false;
            }

            address += (ulong)count;
            source = source[count..];
        }

        return true;
    }

    private bool Ask(GuestAddress address, Span<byte> destination)
    {
        DmaAccess access = new(address, (ulong)destination.Length);
        Span<byte> request = stackalloc byte[DmaAccess.Length];
        access.Write(request);
        int most = DmaAccess.Length + destination.Length;
        byte[] reply = ArrayPool<byte>.Shared.Rent(most);
        try
        {
            bool answered = exchange.TryExchange(VfioUserCommand.DmaRead, request, [], reply.AsSpan(0, most), out int length) == 0;
            ReadOnlySpan<byte> payload = reply.AsSpan(0, answered ? length : 0);
            if (payload.Length != most || !DmaAccess.TryRead(payload, out DmaAccess done) || done != access)
            {
                return false;
            }

            payload[DmaAccess.Length..].CopyTo(destination);
            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(reply);
        }
    }

    private bool Tell(GuestAddress address, ReadOnlySpan<byte> source)
    {
        DmaAccess access = new(address, (ulong)source.Length);
        Span<byte> request = stackalloc byte[DmaAccess.Length];
        access.Write(request);
        Span<byte> reply = stackalloc byte[DmaAccess.Length];
        return exchange.TryExchange(VfioUserCommand.DmaWrite, request, source, reply, out int length) == 0
            && DmaAccess.TryReadWritten(reply[..length], out DmaAccess done)
            && done == access;
    }
}

/// <summary>Commands of the server and their replies.</summary>
internal interface IMessageExchange
{
    /// <summary>
    /// Sends a command and waits for its reply, whose payload it copies; 0, or an errno: the client's own, or EPIPE, ETIMEDOUT or EPROTO when there is no
    /// good reply. Thread-safe.
    /// </summary>
    int TryExchange(VfioUserCommand command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, Span<byte> reply, out int length);
}

/// <summary>Commands over a socket of their own (vfio-user protocol, twin_socket): who has one waits for its reply himself.</summary>
internal sealed class TwinExchange(MessageSocket socket) : IMessageExchange, IDisposable
{
    private readonly Lock _gate = new();
    private ushort _nextId;
    private bool _broken;
    private int _disposed;

    /// <inheritdoc/>
    public int TryExchange(VfioUserCommand command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, Span<byte> reply, out int length)
    {
        length = 0;
        lock (_gate)
        {
            if (_broken)
            {
                return Errno.EPIPE;
            }

            Span<byte> start = stackalloc byte[MessageHeader.Length + head.Length];
            MessageHeader request = MessageHeader.ForCommand(_nextId++, command, head.Length + tail.Length);
            request.Write(start);
            head.CopyTo(start[MessageHeader.Length..]);
            int errno = socket.Send(start, tail);
            if (errno == 0)
            {
                errno = socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload) switch
                {
                    Received.Message => Replies.Check(request, header, payload, reply, out length, out errno) ? errno : Errno.EPROTO,
                    Received.TimedOut => Errno.ETIMEDOUT,
                    Received.Malformed => Errno.EPROTO,
                    _ => Errno.EPIPE,
                };
            }

            // Only a good reply, be it that the client cannot, leaves the next reply's place known.
            _broken = errno is Errno.EPIPE or Errno.ETIMEDOUT or Errno.EPROTO or Errno.ECONNRESET;
            return errno;
        }
    }

    /// <summary>Wakes who waits, and closes.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _ = Linux.Net.UnixSocket.Shutdown(socket.Socket);
        lock (_gate)
        {
            _broken = true;
            socket.Dispose();
        }
    }
}

/// <summary>What a reply to a command of the server must look like.</summary>
internal static class Replies
{
    /// <summary>False when it is no reply to the request. Otherwise its payload is copied, or its errno told.</summary>
    public static bool Check(
        MessageHeader request, MessageHeader header, ReadOnlySpan<byte> payload, Span<byte> reply, out int length, out int errno)
    {
        length = 0;
        errno = 0;
        if (!header.IsReply || header.Id != request.Id || header.Command != request.Command)
        {
            return false;
        }

        if (header.Flags.HasFlag(MessageFlags.Error))
        {
            // What the protocol's own failures mean here must not be said by the other side.
            errno = header.Errno is 0 or > 4095 or Errno.EPIPE or Errno.ETIMEDOUT or Errno.EPROTO or Errno.ECONNRESET ? Errno.EIO : (int)header.Errno;
            return true;
        }

        if (payload.Length > reply.Length)
        {
            return false;
        }

        payload.CopyTo(reply);
        length = payload.Length;
        return true;
    }
}
