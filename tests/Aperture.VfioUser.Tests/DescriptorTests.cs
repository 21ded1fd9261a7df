using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>
/// Descriptors that come where none are wanted, or more of them than may: each is one end of a pair of sockets, whose other end tells when it is closed
/// everywhere.
/// </summary>
public class DescriptorTests
{
    private static readonly byte[] Version = Wire.Command(1, 1, Wire.Version(0, 1, """{"capabilities":{"max_msg_fds":4}}"""));

    [Fact]
    public void Descriptors_that_no_message_wants_are_closed_and_the_message_is_answered()
    {
        using ServedSample device = new();
        using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor socket);
        using VfioUserServer server = VfioUserServer.FromDescriptor(socket, device, new Reports());
        peer.Ask(Version);
        (ushort Command, Wire Payload, uint Error)[] messages =
        [
            (4, new Wire().U32(16).U32(0).U32(0).U32(0), 0), (9, new Wire().U64(0).U32(0).U32(4), 0), (10, new Wire().U64(0).U32(0).U32(4).U32(7), 0),
            (13, new Wire(), 0), (3, new Wire().U32(24).U32(0).U64(0).U64(0x1000), Errno.ENOENT),
            (8, new Wire().U32(20).U32(0x21).U32(2).U32(0).U32(0), Errno.EINVAL),
           (99, new Wire(), Errno.ENOSYS), (0x4101, new Wire(), Errno.ENOSYS), (0x4102, new Wire(), Errno.ENOSYS),
        ];
        foreach ((ushort command, Wire payload, uint error) in messages)
        {
            using Witnesses sent = new(3);
            byte[] reply = peer.Ask(Wire.Command(2, command, payload), sent.Ends);
            Assert.Equal((command, error), (BitConverter.ToUInt16(reply, 2), BitConverter.ToUInt32(reply, 12)));
            sent.AreClosed();
        }
    }

    [Fact]
    public void More_descriptors_than_were_agreed_on_refuse_their_message_and_are_closed()
    {
        using ServedSample device = new();
        using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor socket);
        using VfioUserServer server = VfioUserServer.FromDescriptor(socket, device, new Reports(), new ServerLimits { MaxDescriptors = 4 });
        peer.Ask(Version);
        using Witnesses sent = new(9);
        Assert.Equal(
            Wire.Failure(2, 8, Errno.EINVAL), peer.Ask(Wire.Command(2, 8, new Wire().U32(20).U32(0x24).U32(2).U32(0).U32(8)), sent.Ends));
        sent.AreClosed();

        // Those that are too many are closed wherever they come, and the connection lives on.
        using Witnesses more = new(9);
        Assert.NotEmpty(peer.Ask(Wire.Command(3, 9, new Wire().U64(0).U32(0).U32(4)), more.Ends));
        more.AreClosed();
        Assert.Equal(0u, BitConverter.ToUInt32(peer.Ask(Wire.Command(4, 9, new Wire().U64(0).U32(0).U32(4))), 12));
    }

    [Fact]
    public void What_a_client_sent_before_it_ended_is_closed()
    {
        using ServedSample device = new();
        using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor socket);
        using VfioUserServer server = VfioUserServer.FromDescriptor(socket, device, new Reports());
        peer.Ask(Version);
        using Witnesses sent = new(2);

        // The start of a message whose rest never comes.
        peer.Send(Wire.Command(2, 8, new Wire().U32(20).U32(0x24).U32(2).U32(0).U32(2))[..20], sent.Ends);
        peer.Dispose();
        sent.AreClosed();
    }

    [Fact]
    public async Task Descriptors_that_a_client_did_not_ask_for_are_closed()
    {
        using ScriptedServer server = new(new Reports());
        server.Start();
        using Witnesses sent = new(3);
        Task<int> call = server.Call(device => device.Read(0, 0, new byte[8]));
        byte[] command = server.Peer.Receive();
        server.Peer.Send(FuzzInput.RightAnswer(command), sent.Ends);
        Assert.Equal(0, await call);

        // They wait for whoever had the answer; the next message, or the end, closes them.
        call = server.Call(device => device.Read(0, 0, new byte[8]));
        server.Peer.Send(FuzzInput.RightAnswer(server.Peer.Receive()));
        Assert.Equal(0, await call);
        sent.AreClosed();
    }

    /// <summary>Descriptors to send, and what tells that nobody has them any more.</summary>
    private sealed class Witnesses : IDisposable
    {
        private readonly List<SafeFileDescriptor> _others = [];

        public Witnesses(int count)
        {
            Ends = new SafeFileDescriptor[count];
            for (int i = 0; i < count; i++)
            {
                Assert.Equal(0, UnixSocket.TryPair(out Ends[i], out SafeFileDescriptor other));
                _others.Add(other);
            }
        }

        public SafeFileDescriptor[] Ends { get; }

        public void AreClosed()
        {
            Array.ForEach(Ends, static end => end.Dispose());
            foreach (SafeFileDescriptor other in _others)
            {
                _ = UnixSocket.SetTimeouts(other, 20_000, 20_000);
                Assert.Equal(0, SocketMessages.TryReceive(other, new byte[1], 0, [], out _));
            }
        }

        public void Dispose()
        {
            Array.ForEach(Ends, static end => end.Dispose());
            _others.ForEach(static other => other.Dispose());
        }
    }
}
