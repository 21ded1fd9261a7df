using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Client;

/// <summary>
/// A client's side of a connection. Who has a command holds <see cref="Gate"/>, sends, and receives until its reply is there, answering the server's own
/// commands that come between; so a register access is one call out and one in on the thread that makes it. A server that dies, is silent for too long or says
/// what it may not is dead from then on: every command fails at once, and it is reported once.
/// </summary>
internal sealed class ServerConnection : IDisposable
{
    private const int Small = 64;

    private readonly MessageSocket _socket;
    private readonly ClientOptions _options;
    private readonly string _name;
    private readonly IEventSink _events;
    private readonly EventFd _wake = new();
    private readonly Thread? _thread;
    private readonly MessageSocket? _twin;
    private readonly ClientGrants? _grants;
    private readonly Action? _died;
    private ushort _nextId;
    private bool _isExchanging;

    // Written once with an exchange, read by all: why the server is dead, as an errno.
    private int _dead;
    private volatile bool _closing;
    private volatile Attention? _attention;

    // Bytes behind a reply were received with it, so that the socket does not tell of them. Written with the gate, a hint elsewhere.
    private volatile bool _hasLeftOver;

    private ServerConnection(MessageSocket socket, ClientOptions options, string name, IEventSink events, IDma? memory, Lock gate, Action? died, bool quiet)
    {
        (_socket, _options, _name, _events, Gate, _died, IsQuiet) = (socket, options, name, events, gate, died, quiet);
        Memory = new ExportedMemory(memory, (int)VersionCapabilities.DefaultTransfer);
        _grants = options.Grants is { } holder ? new ClientGrants(holder) : null;
        try
        {
            _twin = Greet();
            _thread = new Thread(Watch) { IsBackground = true, Name = $"vfio-user {name}" };
            _thread.Start();
        }
        catch
        {
            _wake.Dispose();
            throw;
        }
    }

    /// <summary>Held around <see cref="Exchange"/> and while its reply is read.</summary>
    public Lock Gate { get; }

    /// <summary>Nobody is told when it dies: it is not the device's connection yet. Set with the gate held.</summary>
    public bool IsQuiet { get; set; }

    /// <summary>What the server has of the guest's memory.</summary>
    public ExportedMemory Memory { get; }

    /// <summary>What the server granted; null when it does not know the extension, or was not asked for it.</summary>
    public ClientGrants? Grants => Server.Faults is > 0 ? _grants : null;

    /// <summary>What the server supports.</summary>
    public VersionCapabilities Server { get; private set; } = new();

    /// <summary>The most data of one message to the server, in bytes.</summary>
    public int MostData { get; private set; }

    /// <summary>The most descriptors of one message to the server.</summary>
    public int MostDescriptors { get; private set; }

    /// <summary>0 while the server lives; then an errno.</summary>
    public int Dead => Volatile.Read(ref _dead);

    /// <summary>Takes over a connected socket and agrees on a version.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="options">How the server is treated.</param>
    /// <param name="name">What messages call the device.</param>
    /// <param name="events">Told when the server dies.</param>
    /// <param name="memory">The guest's memory, for a server that reaches it by messages.</param>
    /// <param name="gate">Held around commands: one for all connections of a device.</param>
    /// <param name="died">Called when the server dies, with the gate held, on any thread.</param>
    /// <param name="quiet">Whether it starts as <see cref="IsQuiet"/>.</param>
    /// <exception cref="ApertureException">The server is none, or speaks another version.</exception>
    public static ServerConnection Open(
        SafeFileDescriptor socket, ClientOptions options, string name, IEventSink events, IDma? memory, Lock gate, Action? died = null, bool quiet = false)
    {
        MessageSocket messages = new(socket)
        {
            MostPayload = DmaAccess.Length + (int)VersionCapabilities.DefaultTransfer,
            MostDescriptors = 16,
            MostPause = options.PatienceMilliseconds,
        };
        try
        {
            _ = UnixSocket.SetTimeouts(socket, options.PatienceMilliseconds, options.PatienceMilliseconds);
            return new ServerConnection(messages, options, name, events, memory, gate, died, quiet);
        }
        catch
        {
            messages.Dispose();
            throw;
        }
    }

    /// <summary>Runs <paramref name="signalled"/> on the connection's thread whenever <paramref name="trigger"/> has a count; null: no more.</summary>
    public void Attend(EventFd? trigger, Action signalled)
    {
        _attention = trigger is null ? null : new Attention(trigger, signalled);
        _wake.Signal();
    }

    /// <summary>Sends a command that is not answered. With the gate held. 0, or an errno.</summary>
    public int Post(VfioUserCommand command, ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail)
    {
        if (Dead is var dead and not 0)
        {
            return dead;
        }

        int errno = Send(MessageHeader.ForCommand(_nextId++, command, head.Length + tail.Length, posted: true), head, tail, default);
        return errno == 0 ? 0 : Die(errno, "does not take any more commands");
    }

    /// <summary>
    /// Sends a command and waits for its reply. With the gate held, and while <paramref name="reply"/> is read; descriptors of the reply are left to
    /// <see cref="TakeDescriptors"/>. 0, or an errno: the server's own, or why it is dead.
    /// </summary>
    public int Exchange(
        VfioUserCommand command,
        scoped ReadOnlySpan<byte> head,
        scoped ReadOnlySpan<byte> tail,
        scoped ReadOnlySpan<SafeFileDescriptor> descriptors,
        out ReadOnlySpan<byte> reply,
        int patienceMilliseconds = 0)
    {
        reply = default;
        if (Dead is var dead and not 0)
        {
            return dead;
        }

        if (_isExchanging)
        {
            // An access of the server to memory came back to the device itself.
            return Errno.EBUSY;
        }

        MessageHeader request = MessageHeader.ForCommand(_nextId++, command, head.Length + tail.Length);
        int errno = Send(request, head, tail, descriptors);
        if (errno != 0)
        {
            return Die(errno, "does not take any more commands");
        }

        _isExchanging = true;
        try
        {
            return Await(request, Math.Max(patienceMilliseconds, _options.PatienceMilliseconds), out reply);
        }
        finally
        {
            _isExchanging = false;
        }
    }

    /// <summary>Reads from a region, at most as much as one message takes; 0, or an errno.</summary>
    public int Read(int region, ulong offset, Span<byte> destination)
    {
        RegionAccess access = new(offset, (uint)region, (uint)destination.Length);
        Span<byte> request = stackalloc byte[RegionAccess.Length];
        access.Write(request);
        lock (Gate)
        {
            int errno = Exchange(VfioUserCommand.RegionRead, request, default, default, out ReadOnlySpan<byte> reply);
            if (errno != 0)
            {
                return errno;
            }

            if (!RegionAccess.TryRead(reply, out RegionAccess done) || done != access || reply.Length != RegionAccess.Length + destination.Length)
            {
                return Nonsense("answered a read with something else");
            }

            reply[RegionAccess.Length..].CopyTo(destination);
            return 0;
        }
    }

    /// <summary>The descriptors that came with the last reply. With the gate held.</summary>
    public MessageDescriptors TakeDescriptors() => _socket.TakeDescriptors();

    /// <summary>The server said what it may not: it is dead from now on.</summary>
    public int Nonsense(string what) => Die(Errno.EPROTO, what);

    /// <summary>Ends the connection and its thread. Not on that thread, and not with a lock that its actions take.</summary>
    public void Dispose()
    {
        if (_closing)
        {
            return;
        }

        _closing = true;
        _ = Interlocked.CompareExchange(ref _dead, Errno.ENODEV, 0);
        Grants?.TakeAll();
        Shutdown();
        _wake.Signal();
        _thread?.Join();
        lock (Gate)
        {
            _twin?.Dispose();
            _socket.Dispose();
        }

        _grants?.Dispose();
        _wake.Dispose();
    }

    private static ApertureException Refused(string sentence) => new(sentence, ApertureException.HostFailure);

    private MessageSocket? Greet()
    {
        VersionMessage proposal = new(VersionMessage.OurMajor, VersionMessage.OurMinor, new VersionCapabilities
        {
            MaxDescriptors = (uint)_socket.MostDescriptors,
            MaxTransfer = VersionCapabilities.DefaultTransfer,
            MaxDmaMaps = VersionCapabilities.DefaultDmaMaps,
            PageSizes = VersionCapabilities.DefaultPageSizes,
            TwinSocket = _options.TwinSocket ? new TwinSocketCapability(true, null) : null,
            Faults = _options is { TwinSocket: true, Grants: not null } ? 1u : null,
        });
        ReadOnlySpan<byte> payload;
        VersionMessage answer;
        lock (Gate)
        {
            int errno = Exchange(VfioUserCommand.Version, proposal.ToBytes(), default, default, out payload);
            if (errno != 0)
            {
                throw Refused($"{_name} is no vfio-user server that answers: {Errno.Name(errno)}");
            }

            bool read = VersionMessage.TryRead(payload, out answer);
            if (!read || answer.Major != VersionMessage.OurMajor || answer.Minor > VersionMessage.OurMinor)
            {
                throw Refused(read
                    ? $"the server at {_name} speaks version {answer.Major}.{answer.Minor} of vfio-user, and Aperture 0.0 and 0.1"
                    : $"the server at {_name} answers with a version that is none");
            }
        }

        Server = answer.Capabilities;
        MostData = (int)Math.Min(Server.MaxTransfer ?? VersionCapabilities.DefaultTransfer, VersionCapabilities.DefaultTransfer);
        MostDescriptors = (int)Math.Min(Server.MaxDescriptors ?? VersionCapabilities.DefaultDescriptors, SocketMessages.MostDescriptors);
        if (MostData < sizeof(ulong))
        {
            throw Refused($"the server at {_name} takes {MostData} bytes in one message, which is less than a register");
        }

        return TakeTwin();
    }

    // "A client requesting twin-socket mode must examine the twin_socket capability in the reply."
    private MessageSocket? TakeTwin()
    {
        using MessageDescriptors descriptors = TakeDescriptors();
        if (Server.TwinSocket is not { Supported: true } twin)
        {
            return null;
        }

        bool good = _options.TwinSocket && twin.DescriptorIndex < (uint)descriptors.Count;
        if (!good || twin.DescriptorIndex is not { } index || UnixSocket.IsListening(descriptors[(int)index]) != 0)
        {
            throw Refused($"the server at {_name} wants a second socket and gives none");
        }

        SafeFileDescriptor socket = descriptors.Take((int)index);
        _ = UnixSocket.SetTimeouts(socket, _options.PatienceMilliseconds, _options.PatienceMilliseconds);
        return new MessageSocket(socket) { MostPayload = _socket.MostPayload, MostDescriptors = 0, MostPause = _options.PatienceMilliseconds };
    }

    private int Send(
        MessageHeader request, scoped ReadOnlySpan<byte> head, scoped ReadOnlySpan<byte> tail, scoped ReadOnlySpan<SafeFileDescriptor> descriptors)
    {
        // Registers and what describes them go in one piece; longer are only data, booleans and the version.
        Span<byte> start = stackalloc byte[MessageHeader.Length + (2 * Small)];
        request.Write(start);
        int length = MessageHeader.Length;
        if (head.Length <= Small)
        {
            head.CopyTo(start[length..]);
            length += head.Length;
            head = default;
        }

        if (head.IsEmpty && tail.Length <= Small)
        {
            tail.CopyTo(start[length..]);
            length += tail.Length;
            tail = default;
        }

        // Of a long head and a long tail there is no message.
        return head.IsEmpty ? _socket.Send(start[..length], tail, descriptors)
            : tail.IsEmpty ? _socket.Send(start[..length], head, descriptors) : Errno.EMSGSIZE;
    }

    private int Await(MessageHeader request, int patienceMilliseconds, out ReadOnlySpan<byte> reply)
    {
        reply = default;
        long deadline = Environment.TickCount64 + patienceMilliseconds;
        while (true)
        {
            Received received = _socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload);
            switch (received)
            {
                case Received.Message when header.IsReply && header.Id == request.Id && header.Command == request.Command:
                    reply = payload;
                    TellOfLeftOver();
                    return (header.Flags & MessageFlags.Error) == 0 ? 0 : header.Errno is 0 or > 4095 ? Errno.EIO : (int)header.Errno;
                case Received.Message when header.IsCommand:
                    if (!Memory.Answer(_socket, header, payload))
                    {
                        return Die(Errno.EPIPE, "does not take answers any more");
                    }

                    break;
                case Received.TimedOut when Environment.TickCount64 < deadline && !_socket.HasBuffered:
                    break;
                case Received.TimedOut:
                    return Die(Errno.ETIMEDOUT, $"did not answer within {patienceMilliseconds} ms");
                case Received.Closed:
                    return Die(Errno.EPIPE, "ended the connection");
                case Received.Malformed:
                    return Die(Errno.EPROTO, $"sent a message of 0x{header.Size:x} bytes, which is none");
                default:
                    return Die(Errno.EPROTO, "answered what nobody asked");
            }
        }
    }

    private int Die(int errno, string what)
    {
        if (Interlocked.CompareExchange(ref _dead, errno, 0) == 0)
        {
            Shutdown();
            Grants?.TakeAll();
            if (!_closing && !IsQuiet)
            {
                _events.Notice(
                    "vfio-user.gone", $"the server of {_name} {what} ({Errno.Name(errno)}); the guest reads all-ones from its device.",
                    json => json.WriteString("device", _name));
                _died?.Invoke();
            }
        }

        return Dead;
    }

    private void Shutdown()
    {
        _ = UnixSocket.Shutdown(_socket.Socket);
        if (_twin is not null)
        {
            _ = UnixSocket.Shutdown(_twin.Socket);
        }
    }

    // The connection's thread: the server's commands, its end while nobody asks it anything, and the eventfd that unmasks.
    private void Watch()
    {
        Span<PollItem> items = stackalloc PollItem[4];
        while (!_closing && Dead == 0)
        {
            Attention? attention = _attention;
            int count = 3;
            items[0] = new PollItem(_wake.Descriptor, PollEvents.Readable);
            items[1] = new PollItem(_socket.Socket, _twin is null ? PollEvents.Readable : PollEvents.None);
            items[2] = new PollItem((_twin ?? _socket).Socket, PollEvents.Readable);
            if (attention is not null)
            {
                items[count++] = new PollItem(attention.Trigger.Descriptor, PollEvents.Readable);
            }

            Poll.Wait(items[..count], -1);
            _wake.TryTake(out _);
            if (_twin is not null && items[2].Seen != PollEvents.None)
            {
                ServeTwin(_twin);
            }

            if (items[1].Seen != PollEvents.None || _hasLeftOver)
            {
                ServeMain();
            }

            if (attention is not null && (items[3].Seen & PollEvents.Readable) != 0 && attention.Trigger.TryTake(out _))
            {
                attention.Signalled();
            }
        }
    }

    private void ServeTwin(MessageSocket twin)
    {
        Received received = twin.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload);
        if (received == Received.Message && header.IsCommand)
        {
            bool revokes = header.Command == VfioUserCommand.Revoke && Grants is not null;
            if (!(revokes ? Grants!.Answer(twin, header, payload) : Memory.Answer(twin, header, payload)))
            {
                Die(Errno.EPIPE, "does not take answers any more");
            }
        }
        else if (received == Received.Closed)
        {
            Die(Errno.EPIPE, "ended the connection");
        }
        else
        {
            Die(received == Received.TimedOut ? Errno.ETIMEDOUT : Errno.EPROTO, "sent what is no command");
        }
    }

    private void TellOfLeftOver()
    {
        if (_socket.HasBuffered)
        {
            _hasLeftOver = true;
            _wake.Signal();
        }
    }

    // Something may be there, and perhaps is a reply that another thread has taken by now.
    private void ServeMain()
    {
        lock (Gate)
        {
            _hasLeftOver = false;
            Span<PollItem> items = [new PollItem(_socket.Socket, PollEvents.Readable)];
            while (Dead == 0 && (_socket.HasBuffered || Poll.Wait(items, 0) != 0))
            {
                switch (_socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload))
                {
                    case Received.Message when header.IsCommand:
                        if (!Memory.Answer(_socket, header, payload))
                        {
                            Die(Errno.EPIPE, "does not take answers any more");
                        }

                        break;
                    case Received.Closed:
                        Die(Errno.EPIPE, "ended the connection");
                        break;
                    case Received.TimedOut:
                        Die(Errno.ETIMEDOUT, "does not send the rest of a message");
                        break;
                    default:
                        Die(Errno.EPROTO, "answered what nobody asked");
                        break;
                }
            }
        }
    }

    private sealed record Attention(EventFd Trigger, Action Signalled);
}
