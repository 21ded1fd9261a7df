using System.Net.Sockets;
using System.Text.Json;
using Aperture.Linux;
using Aperture.Linux.Net;

namespace Aperture.Machine.Control;

/// <summary>The other end of the control channel.</summary>
public sealed class ControlClient : IDisposable
{
    // A map of many functions is long; what is longer than this no machine says.
    private const int MaxAnswer = 64 << 20;
    private readonly string _path;
    private readonly Socket _socket;
    private readonly ControlLines _lines;

    private ControlClient(string path, Socket socket)
    {
        _path = path;
        _socket = socket;
        _lines = new ControlLines(_socket, MaxAnswer);
    }

    /// <summary>Connects to the machine that listens at <paramref name="path"/>.</summary>
    /// <exception cref="ApertureException">None does.</exception>
    public static ControlClient Connect(string path)
    {
        UnixDomainSocketEndPoint address = ControlAddress.Of(path);
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            socket.Connect(address);
            return new ControlClient(path, socket);
        }
        catch (SocketException fault)
        {
            socket.Dispose();
            throw new ApertureException($"No machine answers at --control {path}: {fault.Message}; start one with aperture run --control {path}.",
                ApertureException.HostFailure, fault);
        }
    }

    /// <summary>
    /// Sends a request with its <see cref="ControlRequest.Descriptors"/>, which stay the caller's, and waits for its answer, which the caller disposes.
    /// </summary>
    /// <exception cref="ApertureException">The machine refused, with its sentence, or is gone.</exception>
    public JsonDocument Ask(ControlRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        Send(request);
        if (!_lines.TryRead(out ReadOnlyMemory<byte> answer))
        {
            throw Gone(null);
        }

        JsonDocument document = Parse(answer);
        if (!document.RootElement.TryGetProperty("ok", out JsonElement ok) || ok.ValueKind != JsonValueKind.True)
        {
            using (document)
            {
                string? sentence = document.RootElement.TryGetProperty("error", out JsonElement error) ? error.GetString() : null;
                throw new ApertureException(sentence ?? $"The machine at {_path} refused without a reason.");
            }
        }

        return document;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _lines.Dispose();
        _socket.Dispose();
    }

    private void Send(ControlRequest request)
    {
        byte[] line = [.. request.ToLine(), (byte)'\n'];
        SafeFileDescriptor[] descriptors = [.. request.Descriptors.Values];
        using SafeFileDescriptor socket = new((int)_socket.Handle, ownsDescriptor: false);
        for (int sent = 0; sent < line.Length;)
        {
            // They go with the first byte.
            int result = SocketMessages.TrySend(socket, line.AsSpan(sent), default, sent == 0 ? descriptors : default);
            sent += result > 0 ? result : throw Gone(new LinuxException("the request was not sent", -result));
        }
    }

    private JsonDocument Parse(ReadOnlyMemory<byte> answer)
    {
        try
        {
            // The line is valid until the next one is read; the document lives longer.
            return JsonDocument.Parse(answer.ToArray());
        }
        catch (JsonException fault)
        {
            throw new ApertureException(
                $"What listens at {_path} is not a machine of Aperture's: its answer is not JSON.", ApertureException.HostFailure, fault);
        }
    }

    private ApertureException Gone(Exception? fault) =>
        new($"The machine at {_path} ended before it answered.", ApertureException.HostFailure, fault);
}
