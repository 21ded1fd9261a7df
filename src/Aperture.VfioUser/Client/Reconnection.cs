using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Net;

namespace Aperture.VfioUser.Client;

/// <summary>How the server of a device is found again once it is gone: at the socket where it was, if it serves the same device there.</summary>
/// <param name="path">Its socket.</param>
/// <param name="events">Told when it is back.</param>
/// <param name="memory">The guest's memory, for a server that reaches it by messages.</param>
/// <param name="options">How the server is treated.</param>
internal sealed class Reconnection(string path, IEventSink events, IDma? memory, ClientOptions options)
{
    // The registers that say what a function is (PCI Local Bus 3.0, section 6.2.1): ids, class and revision, subsystem.
    private static readonly int[] IdentityRegisters = [0x00, 0x08, 0x2C];

    private readonly byte[] _identity = new byte[12];
    private string? _told;
    private volatile bool _ended;

    /// <summary>The server is not looked for any more.</summary>
    public bool HasEnded => _ended;

    /// <summary>Told when the server dies; see <see cref="IVfioDevice.WhenLost"/>.</summary>
    public Action? Lost { get; set; }

    /// <summary>The server is not looked for any more. Any thread.</summary>
    public void End() => _ended = true;

    /// <summary>Connects to who listens at <paramref name="path"/>.</summary>
    /// <exception cref="LinuxException">Nobody does.</exception>
    public static SafeFileDescriptor Connect(string path)
    {
        int result = UnixSocket.TryConnect(path, out SafeFileDescriptor socket);
        if (result != 0)
        {
            socket.Dispose();
            throw new LinuxException($"cannot connect to {path}; start the program that serves the device, with --socket-path {path}", -result);
        }

        return socket;
    }

    /// <summary>The connection ended, whoever ended it.</summary>
    public void Died() => Lost?.Invoke();

    /// <summary>Notes which device it is.</summary>
    /// <exception cref="ApertureException">It does not say.</exception>
    public void Remember(VfioUserDevice device)
    {
        int errno = ReadIdentity((offset, bytes) => device.Read(VfioRegionIndex.Config, offset, bytes), _identity);
        if (errno != 0)
        {
            throw new ApertureException($"{device.Name}: its configuration space cannot be read: {Errno.Name(errno)}", ApertureException.HostFailure);
        }
    }

    /// <summary>Connects again, over the gate of the connections before; 0, or an errno: nobody is there, or another device.</summary>
    public int Find(VfioUserDevice device, ServedDescription before, out ServerConnection? connection, out ServedDescription? description)
    {
        (connection, description) = (null, null);
        ServerConnection? made = null;
        if (_ended)
        {
            return Errno.ENODEV;
        }

        try
        {
            made = ServerConnection.Open(Connect(path), options, device.Name, events, memory, device.Gate, Died, quiet: true);
            ServedDescription now = new(made, device.Name, options.Grants is GrantedAreas { CanMap: true });
            byte[] identity = new byte[_identity.Length];
            int errno = ReadIdentity((offset, bytes) => made.Read(VfioRegionIndex.Config, offset, bytes), identity);
            string? difference = errno != 0 ? "configuration space that cannot be read" : before.Difference(now)
                ?? (identity.AsSpan().SequenceEqual(_identity) ? null : "other ids");
            if (difference is null)
            {
                (connection, description) = (made, now);
                return 0;
            }

            now.Dispose();
            TellOther(difference);
        }
        catch (ApertureException)
        {
            // Nobody is there, or nobody who speaks the protocol: as before.
        }

        made?.Dispose();
        return Errno.ENODEV;
    }

    /// <summary>The device is there again.</summary>
    public void Found()
    {
        _told = null;
        events.Notice(
            "vfio-user.back",
            $"the server of {path} is back; its device is as after a reset, so the guest has to look for it again, or be reset.",
            json => json.WriteString("device", path));
    }

    private static int ReadIdentity(ReadRegister read, Span<byte> identity)
    {
        for (int i = 0; i < IdentityRegisters.Length; i++)
        {
            int errno = read((ulong)IdentityRegisters[i], identity.Slice(4 * i, 4));
            if (errno != 0)
            {
                return errno;
            }
        }

        return 0;
    }

    // Once, however often it is looked at.
    private void TellOther(string difference)
    {
        if (_told != difference)
        {
            _told = difference;
            events.Notice(
                "vfio-user.other",
                $"the server of {path} is back with another device ({difference}), which the guest does not get; serve the old one there again, or detach "
                    + "the device and attach it anew.",
                json => json.WriteString("device", path));
        }
    }

    private delegate int ReadRegister(ulong offset, Span<byte> bytes);
}
