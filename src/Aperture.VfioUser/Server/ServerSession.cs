using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;

namespace Aperture.VfioUser.Server;

/// <summary>
/// One client's connection, from its version to its end (vfio-user protocol, "Connection Initiation", "Client Disconnection"): commands are carried out in
/// their order, on the thread that runs it. When it ends, the client's memory and eventfds are gone and the device keeps its state.
/// </summary>
internal sealed class ServerSession : IDeviceClient, IDisposable
{
    private readonly MessageSocket _socket;
    private readonly IServedDevice _device;
    private readonly ServerLimits _limits;
    private readonly Lock _sending = new();
    private readonly IrqTable _irqs;
    private readonly MainExchange _main;
    private DmaTable? _table;
    private TwinExchange? _twin;
    private ClientMemory? _memory;
    private bool _faults;

    /// <summary>Takes over a connection.</summary>
    public ServerSession(SafeFileDescriptor connection, IServedDevice device, ServerLimits limits)
    {
        _socket = new MessageSocket(connection) { MostPause = limits.PatienceMilliseconds };
        _device = device;
        _limits = limits;
        _irqs = new IrqTable(device.Irqs);
        _main = new MainExchange(_socket, _sending, limits.PatienceMilliseconds);
    }

    /// <inheritdoc/>
    public IDma Memory => _memory ?? throw new InvalidOperationException("the client has not connected yet");

    /// <inheritdoc/>
    public bool MapsGrants => _faults;

    /// <inheritdoc/>
    public bool Revoke(int region, ulong offset, ulong size, ulong generation)
    {
        RevokeMessage message = new((uint)region, offset, size, generation);
        Span<byte> request = stackalloc byte[RevokeMessage.Length];
        Span<byte> reply = stackalloc byte[RevokeMessage.Length];
        message.Write(request);
        bool done = _twin is { } twin
            && twin.TryExchange(VfioUserCommand.Revoke, request, default, reply, out int length) == 0
            && RevokeMessage.TryRead(reply[..length], out RevokeMessage acknowledged)
            && acknowledged == message;
        if (done)
        {
            return true;
        }

        lock (_sending)
        {
            // The client may be gone by itself by now, and the connection closed.
            if (!_socket.Socket.IsClosed)
            {
                Stop();
            }
        }

        return false;
    }

    /// <inheritdoc/>
    public bool IsEnabled(int index) => _irqs.IsEnabled(index);

    /// <inheritdoc/>
    public bool Signal(int index, int vector) => _irqs.Signal(index, vector);

    /// <inheritdoc/>
    public void SetIntx(bool asserted) => _irqs.SetIntx(asserted);

    /// <summary>
    /// Serves the client until it goes. Null when it went by itself; otherwise why the connection was ended, as a sentence without a stop.
    /// </summary>
    public string? Run()
    {
        _main.Receiver = Thread.CurrentThread;
        _ = UnixSocket.SetTimeouts(_socket.Socket, 0, _limits.PatienceMilliseconds);
        if (Greet(out string? why) is not { } agreement)
        {
            return why;
        }

        _table = new DmaTable((int)Math.Min(agreement.DmaMaps, int.MaxValue));
        _memory = new ClientMemory(_table, (IMessageExchange?)_twin ?? _main, (int)agreement.ToClient);
        DeviceCommands commands = new(_device, _irqs, _table, (int)agreement.ToServer, _faults);
        try
        {
            _device.Connected(this);
            return Serve(commands);
        }
        catch (Exception e)
        {
            // The device is code of others: what it throws ends its client's session and nothing else.
            return $"the device failed: {e.Message}";
        }
        finally
        {
            End(commands);
        }
    }

    /// <summary>Ends the session: who runs it returns. From any thread.</summary>
    public void Stop() => _ = UnixSocket.Shutdown(_socket.Socket);

    /// <inheritdoc/>
    public void Dispose()
    {
        Stop();
        _irqs.Dispose();
        _main.Dispose();
        _twin?.Dispose();
        lock (_sending)
        {
            _socket.Dispose();
        }
    }

    private Agreement? Greet(out string? why)
    {
        _socket.MostSilence = _limits.PatienceMilliseconds;
        Received received = _socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload);
        _socket.MostSilence = -1;
        if (received != Received.Message)
        {
            why = received switch
            {
                Received.Closed => null,
                Received.TimedOut => $"its version did not come within {_limits.PatienceMilliseconds} ms",
                _ => "its first message has a size that no message has",
            };
            return null;
        }

        if (header.Command != VfioUserCommand.Version || !header.WantsReply || !VersionMessage.TryRead(payload, out VersionMessage proposal))
        {
            why = "its first message is not a version";
            return null;
        }

        bool twin = proposal.Capabilities is { TwinSocket.Supported: true, MaxDescriptors: null or > 0 };

        // Over the one socket two sessions that revoke from each other would wait for each other.
        _faults = twin && proposal.Capabilities.Faults is > 0 && _device is IFaultingDevice faulting
            && Enumerable.Range(0, _device.Regions.Count).Any(region => faulting.FaultingAreas(region).Count != 0);
        if (Agreement.Make(proposal, _limits, twin, _faults, out VersionMessage reply) is not { } agreement)
        {
            why = $"it speaks version {proposal.Major}.{proposal.Minor} of the protocol, with at most {proposal.Capabilities.MaxTransfer} bytes a message; "
                + $"this server speaks 0.0 to 0.{VersionMessage.OurMinor}";
            return null;
        }

        why = SendVersion(header, reply.ToBytes(), twin) ? null : "it was gone before the answer to its version";
        _socket.MostPayload = Math.Max(VersionMessage.MostPayload, RegionAccess.Length + (int)agreement.ToServer);
        _socket.MostDescriptors = (int)Math.Min(agreement.DescriptorsToServer, SocketMessages.MostDescriptors);
        return why is null ? agreement : null;
    }

    private bool SendVersion(MessageHeader header, byte[] payload, bool twin)
    {
        Span<byte> start = stackalloc byte[MessageHeader.Length];
        header.Answer(payload.Length).Write(start);
        if (!twin)
        {
            return _socket.Send(start, payload) == 0;
        }

        int errno = UnixSocket.TryPair(out SafeFileDescriptor ours, out SafeFileDescriptor theirs);
        using (theirs)
        {
            if (errno != 0)
            {
                ours.Dispose();
                return false;
            }

            _ = UnixSocket.SetTimeouts(ours, _limits.PatienceMilliseconds, _limits.PatienceMilliseconds);
            _twin = new TwinExchange(new MessageSocket(ours) { MostPayload = DmaAccess.Length + (int)_limits.MaxTransfer, MostDescriptors = 0 });
            return _socket.Send(start, payload, [theirs]) == 0;
        }
    }

    private string? Serve(DeviceCommands commands)
    {
        while (true)
        {
            if (_main.TryTakeAside(out AsideMessage aside))
            {
                if (!CarryOut(commands, aside.Header, aside.Payload, aside.Descriptors))
                {
                    return null;
                }

                continue;
            }

            switch (_socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload))
            {
                case Received.Message when header.IsReply:
                    if (!_main.Hand(header, payload))
                    {
                        return "it answered what nobody asked";
                    }

                    break;
                case Received.Message when header.IsCommand:
                    if (!CarryOut(commands, header, payload, _socket.TakeDescriptors()))
                    {
                        return null;
                    }

                    break;
                case Received.Message:
                    return $"a message has the flags 0x{(uint)header.Flags:x}, which say neither command nor reply";
                case Received.Malformed:
                    return $"a message of 0x{header.Size:x} bytes is none";
                case Received.TimedOut:
                    return $"the rest of a message did not come within {_limits.PatienceMilliseconds} ms";
                default:
                    return null;
            }
        }
    }

    // False when the client does not take the answer.
    private bool CarryOut(DeviceCommands commands, MessageHeader header, ReadOnlySpan<byte> payload, MessageDescriptors descriptors)
    {
        using (descriptors)
        {
            int errno = commands.CarryOut(header.Command, payload, descriptors);
            if (!header.WantsReply)
            {
                return true;
            }

            lock (_sending)
            {
                return commands.Send(_socket, header, errno);
            }
        }
    }

    private void End(DeviceCommands commands)
    {
        _irqs.Dispose();
        _main.Dispose();
        _twin?.Dispose();
        try
        {
            commands.End();
            _device.Disconnected();
        }
        catch (Exception)
        {
            // Told or not, the client is gone; a device that fails at that too has been reported by Run, or says so to the next client.
            _table!.Clear();
        }
    }
}
