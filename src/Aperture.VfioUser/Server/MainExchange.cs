using Aperture.Linux;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Server;

/// <summary>
/// Commands of the server over the one socket, between the client's own (vfio-user protocol, "Command Concurrency"): the session's thread receives everything.
/// It hands replies to the threads that wait for them; while it waits for a reply itself, the client's commands are put aside, in their order.
/// </summary>
/// <param name="socket">The connection.</param>
/// <param name="sending">Held by whoever sends on it.</param>
/// <param name="patienceMilliseconds">How long a reply may take.</param>
internal sealed class MainExchange(MessageSocket socket, Lock sending, int patienceMilliseconds) : IMessageExchange, IDisposable
{
    // A client that sends more than this while it owes a reply is not served on.
    private const int MostAside = 1024;
    private const int MostBytesAside = 8 << 20;

    private readonly Lock _gate = new();
    private readonly List<Waiter> _waiters = [];
    private readonly Queue<AsideMessage> _aside = [];
    private int _bytesAside;
    private ushort _nextId;
    private volatile bool _closed;

    /// <summary>The session's thread, which receives; null before it runs.</summary>
    public Thread? Receiver { get; set; }

    /// <summary>Takes the oldest command that was put aside.</summary>
    public bool TryTakeAside(out AsideMessage message)
    {
        if (!_aside.TryDequeue(out message!))
        {
            return false;
        }

        _bytesAside -= message.Payload.Length;
        return true;
    }

    /// <summary>Hands a reply to whoever waits for it; false when nobody does.</summary>
    public bool Hand(MessageHeader header, ReadOnlySpan<byte> payload)
    {
        lock (_gate)
        {
            Waiter? waiter = _waiters.Find(w => w.Request.Id == header.Id && w.Request.Command == header.Command && !w.Done.IsSet);
            if (waiter is null)
            {
                return false;
            }

            bool good = Replies.Check(waiter.Request, header, payload, waiter.Reply, out waiter.Length, out waiter.Errno);
            waiter.Errno = good ? waiter.Errno : Errno.EPROTO;
            waiter.Done.Set();
            return good;
        }
    }

    /// <inheritdoc/>
    public int TryExchange(VfioUserCommand command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail, Span<byte> reply, out int length)
    {
        length = 0;
        using Waiter waiter = new() { Reply = new byte[reply.Length] };
        lock (_gate)
        {
            if (_closed)
            {
                return Errno.EPIPE;
            }

            waiter.Request = MessageHeader.ForCommand(_nextId++, command, head.Length + tail.Length);
            _waiters.Add(waiter);
        }

        Span<byte> start = stackalloc byte[MessageHeader.Length + head.Length];
        waiter.Request.Write(start);
        head.CopyTo(start[MessageHeader.Length..]);
        int errno;
        lock (sending)
        {
            // Whoever closes the socket says so first, and holds the lock then.
            errno = _closed ? Errno.EPIPE : socket.Send(start, tail);
        }

        errno = errno != 0 ? errno : Thread.CurrentThread == Receiver ? ReceiveUntil(waiter) : Await(waiter);
        lock (_gate)
        {
            _waiters.Remove(waiter);
        }

        if (errno == 0)
        {
            length = waiter.Length;
            waiter.Reply.AsSpan(0, length).CopyTo(reply);
        }

        return errno;
    }

    /// <summary>Ends all waits; nothing is sent afterwards.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            foreach (Waiter waiter in _waiters)
            {
                waiter.Errno = Errno.EPIPE;
                waiter.Done.Set();
            }
        }

        while (TryTakeAside(out AsideMessage message))
        {
            message.Descriptors.Dispose();
        }
    }

    private int Await(Waiter waiter)
    {
        if (!waiter.Done.Wait(patienceMilliseconds))
        {
            Break();
            return Errno.ETIMEDOUT;
        }

        return waiter.Errno;
    }

    // On the session's thread, which would otherwise do the same between two commands.
    private int ReceiveUntil(Waiter waiter)
    {
        long deadline = Environment.TickCount64 + patienceMilliseconds;
        while (!waiter.Done.IsSet)
        {
            int left = (int)Math.Max(0, deadline - Environment.TickCount64);
            Span<PollItem> items = [new PollItem(socket.Socket, PollEvents.Readable)];
            if (!socket.HasBuffered && Poll.Wait(items, left) == 0)
            {
                Break();
                return Errno.ETIMEDOUT;
            }

            Received received = socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload);
            bool good = received == Received.Message && (header.IsReply ? Hand(header, payload) : PutAside(header, payload));
            if (!good)
            {
                Break();
                return Errno.EPIPE;
            }
        }

        return waiter.Errno;
    }

    private bool PutAside(MessageHeader header, ReadOnlySpan<byte> payload)
    {
        if (_aside.Count >= MostAside || payload.Length > MostBytesAside - _bytesAside)
        {
            return false;
        }

        _bytesAside += payload.Length;
        _aside.Enqueue(new AsideMessage(header, payload.ToArray(), socket.TakeDescriptors()));
        return true;
    }

    // A client that owes a reply and does not give it is not served on: the session's next receive finds the connection closed.
    private void Break() => _ = Linux.Net.UnixSocket.Shutdown(socket.Socket);

    private sealed class Waiter : IDisposable
    {
        public MessageHeader Request;
        public int Length;
        public int Errno;

        public required byte[] Reply { get; init; }

        public ManualResetEventSlim Done { get; } = new();

        public void Dispose() => Done.Dispose();
    }
}

/// <summary>A command that came while the session waited for something else. Whoever takes it closes its descriptors.</summary>
internal sealed record AsideMessage(MessageHeader Header, byte[] Payload, MessageDescriptors Descriptors);
