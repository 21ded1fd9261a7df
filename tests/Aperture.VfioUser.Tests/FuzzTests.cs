using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Memory;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>
/// Whatever comes over the socket, in either direction: no crash, no memory beyond what was agreed on, no descriptor left open, and the other side, where it
/// is of use, serves on. The corpus is replayed, then mutated; APERTURE_FUZZ is how many messages each direction gets (1000000 in a long run).
/// </summary>
[Collection(nameof(Alone))]
public class FuzzTests
{
    [Fact]
    public void The_corpus_of_each_direction_is_survived() => Alone.LeavesNothing("fuzz", () =>
    {
        using ServerTarget server = new(seed: 0);
        FuzzInput.Corpus("client-to-server.hex").ForEach(server.Feed);
        using ClientTarget client = new();
        FuzzInput.Corpus("server-to-client.hex").ForEach(client.Feed);
    });

    [Fact]
    public void A_server_survives_any_messages() => FuzzInput.Survives("client-to-server.hex", 11, static () => new ServerTarget(seed: 12));

    [Fact]
    public void A_client_survives_any_messages() => FuzzInput.Survives("server-to-client.hex", 13, static () => new ClientTarget());

    /// <summary>A server, and a client that says anything after a good version, with descriptors of all kinds.</summary>
    private sealed class ServerTarget : IFuzzTarget
    {
        private readonly Random _random;
        private readonly ServedSample _device = new();
        private readonly TemporaryFolder _folder = new();
        private readonly Reports _reports = new();
        private readonly EventFd _event = new();
        private readonly SafeFileDescriptor _memory;
        private readonly VfioUserServer _server;
        private RawPeer? _peer;

        public ServerTarget(int seed)
        {
            _random = new Random(seed);
            Assert.Equal(0, MemoryFile.TryMake("fuzz", 0x10_0000, 0, out _memory));
            _device.OnWrite = (client, offset) =>
            {
                // A device that uses memory while it is written to.
                client.Memory.Write(new GuestAddress(offset * 16), new byte[32]);
                client.Signal(2, (int)offset & 7);
                client.SetIntx((offset & 8) != 0);
            };
            _server = VfioUserServer.Listen(Path.Combine(_folder.Path, "s"), _device, _reports, new ServerLimits { PatienceMilliseconds = 20 });
        }

        public void Feed(byte[] message)
        {
            RawPeer peer = _peer ??= Connect();
            SafeFileDescriptor[] kinds = [_memory, _event.Descriptor, peer.Socket, _device.File];
            SafeFileDescriptor[] files = _random.Next(2) == 0 || message.Length == 0 ? [] :
                [.. Enumerable.Range(0, _random.Next(12)).Select(_ => kinds[_random.Next(kinds.Length)])];

            // A server that has ended the connection takes nothing any more; one that waits for the rest is left alone.
            bool sent = message.Length == 0 || SocketMessages.TrySend(peer.Socket, message, default, files) == message.Length;
            bool ended = !FuzzInput.Drain(peer);
            if (!sent || ended || FuzzInput.IsPart(message))
            {
                peer.Dispose();
                _peer = null;
            }
        }

        /// <summary>A good client finds the device as ever.</summary>
        public void IsAlive()
        {
            _peer?.Dispose();
            _peer = null;
            using VfioUserDevice device = FuzzInput.Connect(Path.Combine(_folder.Path, "s"), _reports);
            Assert.Equal(9, device.Regions.Count);
            Assert.Equal(0, device.Read(0, 0, new byte[0x1000]));
        }

        public void Dispose()
        {
            _peer?.Dispose();
            _server.Dispose();
            _device.Dispose();
            _memory.Dispose();
            _event.Dispose();
            _folder.Dispose();
        }

        private RawPeer Connect()
        {
            string json = _random.Next(2) == 0
                ? """{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true}}}"""
                : """{"capabilities":{"max_msg_fds":8}}""";
            return FuzzInput.Greet(Path.Combine(_folder.Path, "s"), json);
        }
    }

    /// <summary>A client, and a server that answers anything, in its start as well as later.</summary>
    private sealed class ClientTarget : IFuzzTarget
    {
        private readonly RamBlock _ram = RamBlock.Create("fuzz", 0x10_0000, shared: true);
        private readonly Reports _reports = new();
        private readonly EventFd _trigger = new();
        private ScriptedServer? _server;
        private AddressRange? _mapped;
        private int _next;
        private int _fed;

        /// <summary>Answers the client's next command with this, and then with what is right.</summary>
        public void Feed(byte[] message)
        {
            IReadOnlyList<byte[]> answers = ScriptedServer.Answers(_next % 2 == 0);
            if (_server is null)
            {
                // Every other session meets it within its start.
                _mapped = null;
                _server = new ScriptedServer(_reports, new FuzzDma(_ram), new SharedBlocks(_ram), new ClientOptions { PatienceMilliseconds = 5000 });
                _next++;
                if (_next % 2 == 0)
                {
                    FeedStart(_server, answers, _next / 2 % answers.Count, message);
                    End();
                    return;
                }

                _server.Start(_next % 2 == 0);
            }

            VfioUserDevice device = _server.Device;
            Task<int> call = _server.Call(Operation);
            byte[]? command = FuzzInput.TryReceive(_server.Peer);

            // Every other answer is for what was asked, so that more of it is looked at.
            message = command is not null && (_fed++ & 1) == 0 ? FuzzInput.Fit(message, command) : message;
            if (command is null || !FuzzInput.Say(_server.Peer, message) || FuzzInput.IsPart(message))
            {
                _ = UnixSocket.Shutdown(_server.Peer.Socket);
            }
            else if (!FuzzInput.Answers(message, command))
            {
                FuzzInput.Say(_server.Peer, FuzzInput.RightAnswer(command));
            }

            // One that took the start of the right answer for the end of the wrong one waits for more: it gets no more.
            if (!call.Wait(5))
            {
                _ = UnixSocket.Shutdown(_server.Peer.Socket);
            }

            Assert.True(call.Wait(20_000));
            if (device.IsDead || FuzzInput.IsPart(message))
            {
                End();
            }
        }

        public void Dispose()
        {
            End();
            _ram.Dispose();
            _trigger.Dispose();
        }

        private static void FeedStart(ScriptedServer server, IReadOnlyList<byte[]> answers, int at, byte[] message)
        {
            for (int i = 0; i < answers.Count; i++)
            {
                if (FuzzInput.TryReceive(server.Peer) is null || (i == at && (!FuzzInput.Say(server.Peer, message, server.File) || FuzzInput.IsPart(message))))
                {
                    break;
                }

                FuzzInput.Say(server.Peer, answers[i], server.File);
            }

            _ = UnixSocket.Shutdown(server.Peer.Socket);
        }

        private int Operation(VfioUserDevice device) => (_next++ % 7) switch
        {
            0 => device.Read(0, 0, new byte[8]),
            1 => device.Write(7, 4, [1, 2]),
            2 => device.Reset(),
            3 => device.SetTriggers(2, 0, [_trigger]),
            4 => Map(device),
            5 when _mapped is { } range => device.Iommu.Unmap(range),
            _ => device.DisableIrqs(2),
        };

        // Each time elsewhere, so that the server is asked.
        private int Map(VfioUserDevice device)
        {
            AddressRange range = new(new GuestAddress((ulong)_next << 12), 0x1000);
            int errno = device.Iommu.Map(range, _ram.HostAddress, true);
            _mapped = errno == 0 ? range : null;
            return errno;
        }

        private void End()
        {
            if (_server is { } server)
            {
                _ = UnixSocket.Shutdown(server.Peer.Socket);
                try
                {
                    server.Device.Dispose();
                }
                catch (ApertureException)
                {
                    // A start that failed, as it should.
                }

                server.Dispose();
                _server = null;
            }
        }
    }
}
