using System.Net.Sockets;
using System.Text.Json;
using Aperture.Linux;

namespace Aperture.Machine.Control;

/// <summary>
/// The control channel: a UNIX stream socket that only this user can open. A client sends requests, one JSON object a line, and gets an answer a line:
/// <c>{"ok":true,...}</c> or <c>{"ok":false,"error":"SENTENCE"}</c>. Clients are bounded in number, in the length of a line and in how long they may hold
/// an answer back; what one does hurts no other and not the guest.
/// </summary>
public sealed class ControlServer : IDisposable
{
    /// <summary>Clients at once; one more is told so and sent away.</summary>
    public const int MaxClients = 16;

    private const int Backlog = 16;
    private static readonly TimeSpan SendPatience = TimeSpan.FromSeconds(5);

    private readonly string _path;
    private readonly IControlCommands _commands;
    private readonly Socket _listener;
    private readonly Thread _acceptor;
    private readonly CancellationTokenSource _ended = new();
    private readonly Lock _gate = new();

    // Under the gate.
    private readonly Dictionary<Socket, Thread> _clients = [];
    private bool _disposed;

    private ControlServer(string path, Socket listener, IControlCommands commands)
    {
        _path = path;
        _listener = listener;
        _commands = commands;
        AppDomain.CurrentDomain.ProcessExit += RemoveFile;
        _acceptor = new Thread(Accept) { IsBackground = true, Name = "control" };
        _acceptor.Start();
    }

    /// <summary>Listens at <paramref name="path"/>. A socket that a process which is gone left there is replaced.</summary>
    /// <exception cref="ApertureException">A running machine listens there, something else is there, or the path cannot be used.</exception>
    public static ControlServer Open(string path, IControlCommands commands)
    {
        UnixDomainSocketEndPoint address = ControlAddress.Of(path);
        ControlAddress.RemoveDead(path, address);
        Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            listener.Bind(address);

            // Nobody can connect before Listen, so nobody does with the wrong permissions.
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            }

            listener.Listen(Backlog);
        }
        catch (Exception fault) when (fault is SocketException or IOException or UnauthorizedAccessException)
        {
            listener.Dispose();
            throw new ApertureException($"--control {path} cannot be made: {fault.Message}", innerException: fault);
        }

        return new ControlServer(path, listener, commands);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Thread[] threads;
        lock (_gate)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            _ended.Cancel();
            foreach (Socket client in _clients.Keys)
            {
                Shut(client);
            }

            threads = [.. _clients.Values];
        }

        RemoveFile(this, EventArgs.Empty);
        _listener.Dispose();
        _acceptor.Join();
        foreach (Thread thread in threads)
        {
            // The machine may be disposed by a client's own request.
            if (thread != Thread.CurrentThread)
            {
                thread.Join();
            }
        }

        _ended.Dispose();
    }

    private static void Shut(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (SocketException)
        {
            // The client was gone before.
        }
    }

    private void RemoveFile(object? sender, EventArgs e)
    {
        AppDomain.CurrentDomain.ProcessExit -= RemoveFile;
        try
        {
            File.Delete(_path);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            // Somebody changed the folder's permissions meanwhile; the next start finds the socket dead and removes it.
        }
    }

    private void Accept()
    {
        while (true)
        {
            Socket client;
            try
            {
                client = _listener.Accept();
            }
            catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
            {
                if (_ended.IsCancellationRequested || fault is ObjectDisposedException)
                {
                    return;
                }

                // Out of descriptors, for example: clients go away, and so does this.
                _ended.Token.WaitHandle.WaitOne(TimeSpan.FromMilliseconds(100));
                continue;
            }

            Welcome(client);
        }
    }

    private void Welcome(Socket client)
    {
        client.SendTimeout = (int)SendPatience.TotalMilliseconds;
        lock (_gate)
        {
            if (!_disposed && _clients.Count < MaxClients)
            {
                Thread thread = new(() => Serve(client)) { IsBackground = true, Name = "control-client" };
                _clients.Add(client, thread);
                thread.Start();
                return;
            }
        }

        using (client)
        {
            TrySend(client, Refusal($"{MaxClients} clients are connected already."));
        }
    }

    private void Serve(Socket client)
    {
        try
        {
            using ControlLines lines = new(client, ControlRequest.MaxLength, ControlRequest.MaxDescriptors);
            while (lines.TryRead(out ReadOnlyMemory<byte> line) && TrySend(client, Answer(line.Span, lines)))
            {
            }

            if (lines.IsTooLong)
            {
                TrySend(client, Refusal($"The request is longer than {ByteSize.Format(ControlRequest.MaxLength)}."));
            }
        }
        finally
        {
            lock (_gate)
            {
                _clients.Remove(client);
            }

            client.Dispose();
        }
    }

    private byte[] Answer(ReadOnlySpan<byte> line, ControlLines lines)
    {
        bool lost = lines.HasLostDescriptors;
        IReadOnlyList<SafeFileDescriptor> files = lines.TakeDescriptors();
        try
        {
            if (lost)
            {
                throw new ApertureException($"Not all descriptors of the request could be taken; at most {ControlRequest.MaxDescriptors} go with one.");
            }

            ControlRequest request = ControlRequest.Parse(line).With(files);
            return Line(json =>
            {
                json.WriteBoolean("ok", true);
                _commands.Execute(request, json, _ended.Token);
            });
        }
        catch (ApertureException refused)
        {
            return Refusal(refused.Message);
        }
        catch (OperationCanceledException)
        {
            return Refusal("The machine has ended.");
        }
        finally
        {
            // What the command kept, it moved out of its handle.
            foreach (SafeFileDescriptor file in files)
            {
                file.Dispose();
            }
        }
    }

    private static byte[] Refusal(string sentence) => Line(json =>
    {
        json.WriteBoolean("ok", false);
        json.WriteString("error", sentence);
    });

    private static byte[] Line(Action<Utf8JsonWriter> members)
    {
        using MemoryStream line = new();
        using (Utf8JsonWriter json = new(line))
        {
            json.WriteStartObject();
            members(json);
            json.WriteEndObject();
        }

        line.WriteByte((byte)'\n');
        return line.ToArray();
    }

    private static bool TrySend(Socket client, ReadOnlySpan<byte> bytes)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                bytes = bytes[client.Send(bytes)..];
            }

            return true;
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
