using System.Runtime.InteropServices;
using System.Text;

namespace Aperture.Linux.Net;

/// <summary>
/// Stream sockets of the local host (unix(7)): connections by path or as a pair. Nothing here throws for what the kernel answers: every call returns a number
/// that is not negative, or minus the errno. Descriptors that it makes are closed on exec. Interrupted calls are repeated.
/// </summary>
public static partial class UnixSocket
{
    // sys/un.h: what a path may have, its NUL included.
    internal const int PathRoom = 108;

    // bits/socket.h, asm-generic/socket.h
    internal const int Family = 1;
    internal const int Stream = 1;
    internal const int CloseOnExec = 0x80000;
    internal const int SocketLevel = 1;
    internal const int ReceiveTimeout = 20;
    internal const int SendTimeout = 21;
    internal const int AcceptsConnections = 30;
    internal const int ShutdownBoth = 2;

    /// <summary>Makes two sockets that are connected to each other.</summary>
    public static int TryPair(out SafeFileDescriptor first, out SafeFileDescriptor second)
    {
        Span<int> pair = stackalloc int[2];
        pair.Fill(-1);
        int result = Answer(socketpair(Family, Stream | CloseOnExec, 0, pair));
        first = new SafeFileDescriptor(pair[0]);
        second = new SafeFileDescriptor(pair[1]);
        return result;
    }

    /// <summary>
    /// Makes a socket that connections to <paramref name="path"/> reach. A file that is there is not taken away: then the answer is
    /// <see cref="Errno.EADDRINUSE"/>.
    /// </summary>
    public static int TryListen(string path, int backlog, out SafeFileDescriptor socket)
    {
        int result = TryMake(path, out socket, out byte[] address);
        if (result == 0)
        {
            result = Answer(bind(socket, address, address.Length));
        }

        return result != 0 ? result : Answer(listen(socket, backlog));
    }

    /// <summary>Connects to whoever listens at <paramref name="path"/>.</summary>
    public static int TryConnect(string path, out SafeFileDescriptor socket)
    {
        int result = TryMake(path, out socket, out byte[] address);
        while (result == 0)
        {
            result = Answer(connect(socket, address, address.Length));
            if (result != -Errno.EINTR)
            {
                return result;
            }

            result = 0;
        }

        return result;
    }

    /// <summary>Waits for a connection to a listening socket.</summary>
    public static int TryAccept(SafeFileDescriptor listener, out SafeFileDescriptor connection)
    {
        while (true)
        {
            int result = Answer(accept4(listener, 0, 0, CloseOnExec));
            if (result != -Errno.EINTR)
            {
                connection = new SafeFileDescriptor(result < 0 ? -1 : result);
                return Math.Min(result, 0);
            }
        }
    }

    /// <summary>Ends a connection, or a listening socket, for both sides: who waits in a call on it returns.</summary>
    public static int Shutdown(SafeFileDescriptor socket) => Answer(shutdown(socket, ShutdownBoth));

    /// <summary>Receiving, and sending, answer <see cref="Errno.EAGAIN"/> after so many milliseconds; 0: never.</summary>
    public static int SetTimeouts(SafeFileDescriptor socket, int receiveMilliseconds, int sendMilliseconds)
    {
        int result = SetTimeout(socket, ReceiveTimeout, receiveMilliseconds);
        return result != 0 ? result : SetTimeout(socket, SendTimeout, sendMilliseconds);
    }

    /// <summary>1 for a listening socket, 0 for another, minus the errno for what is no socket.</summary>
    public static int IsListening(SafeFileDescriptor socket)
    {
        int length = sizeof(int);
        int result = Answer(getsockopt(socket, SocketLevel, AcceptsConnections, out int accepts, ref length));
        return result != 0 ? result : accepts;
    }

    private static int SetTimeout(SafeFileDescriptor socket, int option, int milliseconds)
    {
        // struct timeval.
        Span<long> time = [milliseconds / 1000, milliseconds % 1000 * 1000L];
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(time);
        return Answer(setsockopt(socket, SocketLevel, option, bytes, bytes.Length));
    }

    private static int TryMake(string path, out SafeFileDescriptor socket, out byte[] address)
    {
        // struct sockaddr_un: the family, then the path with its NUL.
        int length = Encoding.UTF8.GetByteCount(path);
        if (length is 0 or >= PathRoom || path.Contains('\0', StringComparison.Ordinal))
        {
            (socket, address) = (new SafeFileDescriptor(), []);
            return -Errno.EINVAL;
        }

        address = new byte[sizeof(ushort) + length + 1];
        address[0] = Family;
        Encoding.UTF8.GetBytes(path, address.AsSpan(sizeof(ushort)));
        int result = Answer(MakeSocket(Family, Stream | CloseOnExec, 0));
        socket = new SafeFileDescriptor(result < 0 ? -1 : result);
        return Math.Min(result, 0);
    }

    private static int Answer(int result) => result >= 0 ? result : -Marshal.GetLastPInvokeError();

    [LibraryImport("libc", EntryPoint = "socket", SetLastError = true)]
    private static partial int MakeSocket(int family, int type, int protocol);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int socketpair(int family, int type, int protocol, Span<int> pair);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int bind(SafeFileDescriptor socket, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int listen(SafeFileDescriptor socket, int backlog);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int connect(SafeFileDescriptor socket, ReadOnlySpan<byte> address, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int accept4(SafeFileDescriptor listener, nint address, nint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int shutdown(SafeFileDescriptor socket, int how);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsockopt(SafeFileDescriptor socket, int level, int option, ReadOnlySpan<byte> value, int length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int getsockopt(SafeFileDescriptor socket, int level, int option, out int value, ref int length);
}
