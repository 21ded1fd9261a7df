using System.Net.Sockets;
using Microsoft.Win32.SafeHandles;

namespace Aperture.Machine.Control;

/// <summary>Paths of control sockets.</summary>
internal static class ControlAddress
{
    /// <summary>The socket address of <paramref name="path"/>.</summary>
    /// <exception cref="ApertureException">The path is empty or longer than a socket's can be.</exception>
    public static UnixDomainSocketEndPoint Of(string path)
    {
        try
        {
            return new UnixDomainSocketEndPoint(path);
        }
        catch (ArgumentException fault)
        {
            throw new ApertureException($"--control {path} is not a path for a socket, which has 1 to 107 bytes.", innerException: fault);
        }
    }

    /// <summary>Removes a socket at <paramref name="path"/> that nobody listens at any more.</summary>
    /// <exception cref="ApertureException">Somebody does, or what is there is no socket.</exception>
    public static void RemoveDead(string path, UnixDomainSocketEndPoint address)
    {
        if (!Exists(path))
        {
            return;
        }

        using Socket probe = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(address);
        }
        catch (SocketException refused) when (refused.SocketErrorCode == SocketError.ConnectionRefused && IsSocket(path))
        {
            File.Delete(path);
            return;
        }
        catch (SocketException other)
        {
            throw new ApertureException(
                $"--control {path} cannot be made: something is there already ({other.Message}); remove it or name another path.", innerException: other);
        }

        throw new ApertureException($"--control {path} is the socket of a machine that runs; name another path.");
    }

    private static bool Exists(string path) => Path.Exists(path) || new FileInfo(path).LinkTarget is not null;

    // Connecting to a plain file is refused just as connecting to a dead socket; a plain file is not ours to delete. The runtime has no name for sockets,
    // but it tells the kinds that it knows: a socket is neither a regular file (which could be opened) nor a folder nor a link.
    private static bool IsSocket(string path)
    {
        if (Directory.Exists(path) || new FileInfo(path).LinkTarget is not null)
        {
            return false;
        }

        try
        {
            // For writing too: opening a pipe only to read would wait for a writer.
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
            return false;
        }
        catch (IOException)
        {
            // ENXIO: what a socket answers to open (open(2)).
            return true;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }
}
