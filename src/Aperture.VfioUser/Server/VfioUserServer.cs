using Aperture.Linux;
using Aperture.Linux.Net;

namespace Aperture.VfioUser.Server;

/// <summary>
/// Serves a device to whoever connects, one client after the other, on a thread of its own (vfio-user protocol, "Socket", "Backend Program Conventions"). A
/// client that comes while another is served waits. What goes wrong with a client is an event, and ends that client's session only.
/// </summary>
public sealed class VfioUserServer : IDisposable
{
    private const int Backlog = 4;

    private readonly SafeFileDescriptor _socket;
    private readonly bool _listens;
    private readonly string? _path;
    private readonly IServedDevice _device;
    private readonly IEventSink _events;
    private readonly ServerLimits _limits;
    private readonly Lock _gate = new();
    private readonly Thread _thread;
    private ServerSession? _session;
    private bool _stopping;

    private VfioUserServer(SafeFileDescriptor socket, bool listens, string? path, IServedDevice device, IEventSink events, ServerLimits? limits)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(events);
        (_socket, _listens, _path, _device, _events, _limits) = (socket, listens, path, device, events, limits ?? new ServerLimits());
        _thread = new Thread(Run) { IsBackground = true, Name = "vfio-user server" };
        _thread.Start();
    }

    /// <summary>
    /// Listens at <paramref name="path"/> (<c>--socket-path</c>). A socket there that nobody listens at any more is replaced; in the end the socket is taken
    /// away.
    /// </summary>
    /// <exception cref="ApertureException">The path is too long, in use, not a socket, or not permitted.</exception>
    public static VfioUserServer Listen(string path, IServedDevice device, IEventSink events, ServerLimits? limits = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        int errno = -UnixSocket.TryListen(path, Backlog, out SafeFileDescriptor socket);
        if (errno == Errno.EADDRINUSE && IsLeftOver(path))
        {
            socket.Dispose();
            File.Delete(path);
            errno = -UnixSocket.TryListen(path, Backlog, out socket);
        }

        if (errno != 0)
        {
            socket.Dispose();
            string sentence = errno == Errno.EADDRINUSE
                ? $"somebody else uses {path}; give another path"
                : $"cannot listen at {path}; give a path of at most 107 bytes in a folder that can be written";
            throw new LinuxException(sentence, errno);
        }

        return new VfioUserServer(socket, listens: true, path, device, events, limits);
    }

    /// <summary>Serves over an inherited descriptor (<c>--fd</c>), which it takes over: a connection, or a socket that listens.</summary>
    /// <exception cref="ApertureException">It is no socket.</exception>
    public static VfioUserServer FromDescriptor(SafeFileDescriptor socket, IServedDevice device, IEventSink events, ServerLimits? limits = null)
    {
        ArgumentNullException.ThrowIfNull(socket);
        int listens = UnixSocket.IsListening(socket);
        return listens >= 0
            ? new VfioUserServer(socket, listens == 1, null, device, events, limits)
            : throw new LinuxException($"descriptor {socket.Number} cannot be served; give one of a UNIX domain socket", -listens);
    }

    /// <summary>Waits until nobody is served any more: for ever where it listens, else until the client goes.</summary>
    public void Wait() => _thread.Join();

    /// <summary>Ends the session, and the socket.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_stopping)
            {
                return;
            }

            _stopping = true;
            _ = UnixSocket.Shutdown(_socket);
            _session?.Stop();
        }

        _thread.Join();
        _socket.Dispose();
        if (_path is not null)
        {
            File.Delete(_path);
        }
    }

    // Opening a socket answers ENXIO (open(2)); nothing else that could be here does.
    private static bool IsLeftOver(string path)
    {
        using SafeFileDescriptor file = FileDescriptors.TryOpen(path, OpenFlags.ReadOnly | OpenFlags.NonBlocking, out int errno);
        int connected = UnixSocket.TryConnect(path, out SafeFileDescriptor probe);
        probe.Dispose();
        return errno == Errno.ENXIO && connected == -Errno.ECONNREFUSED;
    }

    private void Run()
    {
        if (!_listens)
        {
            // The number stays this server's, so that it can be shut down while it is served; the session's end shuts it down too.
            Serve(new SafeFileDescriptor(_socket.Number, ownsDescriptor: false));
            return;
        }

        while (true)
        {
            int result = UnixSocket.TryAccept(_socket, out SafeFileDescriptor connection);
            if (result == 0)
            {
                Serve(connection);
                continue;
            }

            lock (_gate)
            {
                if (_stopping)
                {
                    return;
                }
            }

            _events.Notice("vfio-user.refused", $"a client could not be served: {Errno.Name(-result)}; close what this process has open.");
            if (result is not (-Errno.EMFILE or -Errno.ENFILE or -Errno.ENOMEM))
            {
                return;
            }

            // The client still waits; a descriptor may be free again later.
            Thread.Sleep(100);
        }
    }

    private void Serve(SafeFileDescriptor connection)
    {
        using ServerSession session = new(connection, _device, _limits);
        lock (_gate)
        {
            if (_stopping)
            {
                return;
            }

            _session = session;
        }

        _events.Write("vfio-user.connected");
        string? why = session.Run();
        lock (_gate)
        {
            _session = null;
        }

        if (why is null)
        {
            _events.Write("vfio-user.disconnected");
        }
        else
        {
            _events.Notice("vfio-user.ended", $"the connection of a client was ended: {why}.");
        }
    }
}
