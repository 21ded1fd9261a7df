using System.Buffers.Binary;
using System.Globalization;
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
    private const int MostBuffered = 64 << 20;

    private static readonly int Messages =
        int.TryParse(Environment.GetEnvironmentVariable("APERTURE_FUZZ"), NumberStyles.None, CultureInfo.InvariantCulture, out int count) ? count : 3000;

    private static readonly uint[] Edges = [0, 1, 2, 15, 16, 17, 20, 32, 0xFFF, 0x1000, 0x10_0000, 0x10_0001, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF];

    [Fact]
    public void The_corpus_of_each_direction_is_survived() => Alone.LeavesNothing("fuzz", () =>
    {
        using ServerTarget server = new(seed: 0);
        Corpus("client-to-server.hex").ForEach(server.Feed);
        using ClientTarget client = new();
        Corpus("server-to-client.hex").ForEach(client.Feed);
    });

    [Fact]
    public void A_server_survives_any_messages()
    {
        List<byte[]> corpus = Corpus("client-to-server.hex");
        Random random = new(11);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        Alone.LeavesNothing("fuzz", () =>
        {
            using ServerTarget target = new(seed: 12);
            for (int i = 0; i < Messages / 2; i++)
            {
                target.Feed(Mutate(random, corpus));
            }

            target.IsAlive();
        });
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - before < MostBuffered);
    }

    [Fact]
    public void A_client_survives_any_messages()
    {
        List<byte[]> corpus = Corpus("server-to-client.hex");
        Random random = new(13);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        Alone.LeavesNothing("fuzz", () =>
        {
            using ClientTarget target = new();
            for (int i = 0; i < Messages / 2; i++)
            {
                target.Feed(Mutate(random, corpus));
            }
        });
        Assert.True(GC.GetTotalMemory(forceFullCollection: true) - before < MostBuffered);
    }

    // Lines of hexadecimal, and comments.
    private static List<byte[]> Corpus(string name)
    {
        List<byte[]> messages = [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Corpus", name))
            .Select(static line => line.Split('#')[0].Trim())
            .Where(static line => line.Length != 0)
            .Select(Convert.FromHexString)];
        Assert.NotEmpty(messages);
        return messages;
    }

    private static byte[] Mutate(Random random, List<byte[]> corpus)
    {
        if (random.Next(20) == 0)
        {
            byte[] noise = new byte[random.Next(80)];
            random.NextBytes(noise);
            return noise;
        }

        byte[] message = [.. corpus[random.Next(corpus.Count)]];
        for (int edits = random.Next(4); edits > 0 && message.Length >= 16; edits--)
        {
            switch (random.Next(6))
            {
                case 0:
                    message[random.Next(message.Length)] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(random.Next(message.Length - 3)), Edges[random.Next(Edges.Length)]);
                    break;
                case 2:
                    int field = random.Next(message.Length / 4);
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4 * field), Edges[random.Next(Edges.Length)]);
                    break;
                case 3:
                    message = message[..random.Next(16, message.Length + 1)];
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), (uint)message.Length);
                    break;
                case 4:
                    message = [.. message, .. new byte[random.Next(64)]];
                    BinaryPrimitives.WriteUInt32LittleEndian(message.AsSpan(4), (uint)message.Length);
                    break;
                default:
                    byte[] other = corpus[random.Next(corpus.Count)];
                    other.AsSpan(Math.Min(16, other.Length)).CopyTo((message = [.. message, .. new byte[other.Length]]).AsSpan(16));
                    break;
            }
        }

        return message;
    }

    // True when the other side waits for more of it.
    private static bool IsPart(byte[] message) =>
        message.Length < 16 || (BinaryPrimitives.ReadUInt32LittleEndian(message.AsSpan(4)) is var size && size > (uint)message.Length && size >= 16);

    /// <summary>A server, and a client that says anything after a good version, with descriptors of all kinds.</summary>
    private sealed class ServerTarget : IDisposable
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
            bool ended = !Drain(peer);
            if (!sent || ended || IsPart(message))
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
            using VfioUserDevice device = VfioUserDevice.Connect(Path.Combine(_folder.Path, "s"), _reports);
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
            Assert.Equal(0, UnixSocket.TryConnect(Path.Combine(_folder.Path, "s"), out SafeFileDescriptor socket));
            RawPeer peer = RawPeer.Of(socket);
            string json = _random.Next(2) == 0
                ? """{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true}}}"""
                : """{"capabilities":{"max_msg_fds":8}}""";
            Assert.NotEmpty(peer.Ask(Wire.Command(1, 1, Wire.Version(0, 1, json))));
            return peer;
        }

        // Takes what is there; false when the server ended the connection.
        private static bool Drain(RawPeer peer)
        {
            byte[] bytes = new byte[4096];
            Span<PollItem> items = [new PollItem(peer.Socket, PollEvents.Readable)];
            while (Poll.Wait(items, 0) != 0)
            {
                List<SafeFileDescriptor> files = [];
                int count = SocketMessages.TryReceive(peer.Socket, bytes, 16, files, out _);
                files.ForEach(static f => f.Dispose());
                if (count <= 0)
                {
                    return false;
                }
            }

            return true;
        }
    }

    /// <summary>A client, and a server that answers anything, in its start as well as later.</summary>
    private sealed class ClientTarget : IDisposable
    {
        private readonly RamBlock _ram = RamBlock.Create("fuzz", 0x10_0000, shared: true);
        private readonly Reports _reports = new();
        private readonly EventFd _trigger = new();
        private ScriptedServer? _server;
        private AddressRange? _mapped;
        private int _next;

        /// <summary>Answers the client's next command with this, and then with what is right.</summary>
        public void Feed(byte[] message)
        {
            IReadOnlyList<byte[]> answers = ScriptedServer.Answers(_next % 2 == 0);
            if (_server is null)
            {
                // Every other session meets it within its start.
                _mapped = null;
                _server = new ScriptedServer(_reports, new Dma(_ram), new SharedBlocks(_ram), new ClientOptions { PatienceMilliseconds = 5000 });
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
            byte[]? command = TryReceive(_server.Peer);
            if (command is not null && Say(_server.Peer, message) && !IsPart(message))
            {
                Say(_server.Peer, RightAnswer(command));
            }
            else
            {
                _ = UnixSocket.Shutdown(_server.Peer.Socket);
            }

            // One that took the start of the right answer for the end of the wrong one waits for more: it gets no more.
            if (!call.Wait(5))
            {
                _ = UnixSocket.Shutdown(_server.Peer.Socket);
            }

            Assert.True(call.Wait(20_000));
            if (device.IsDead || IsPart(message))
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
                if (TryReceive(server.Peer) is null || (i == at && (!Say(server.Peer, message, server.File) || IsPart(message))))
                {
                    break;
                }

                Say(server.Peer, answers[i], server.File);
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

        private static byte[] RightAnswer(byte[] command)
        {
            ushort id = BinaryPrimitives.ReadUInt16LittleEndian(command);
            ushort number = BinaryPrimitives.ReadUInt16LittleEndian(command.AsSpan(2));
            Wire payload = new();
            return Wire.Reply(id, number, number switch
            {
                9 => payload.Raw(command.AsSpan(16, 16)).Raw(new byte[8]),
                10 => payload.Raw(command.AsSpan(16, 16)),
                3 => payload.Raw(command.AsSpan(16, 24)),
                _ => payload,
            });
        }

        // The next command, past answers to what was said before; null when the client is gone, or asks nobody.
        private static byte[]? TryReceive(RawPeer peer)
        {
            byte[] header = new byte[16];
            while (TryFill(peer, header))
            {
                byte[] body = new byte[BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)) - 16];
                if (!TryFill(peer, body))
                {
                    return null;
                }

                if ((header[8] & 0xF) == 0)
                {
                    return [.. header, .. body];
                }
            }

            return null;
        }

        private static bool TryFill(RawPeer peer, byte[] bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                List<SafeFileDescriptor> files = [];
                int count = SocketMessages.TryReceive(peer.Socket, bytes.AsSpan(done), 16, files, out _);
                files.ForEach(static f => f.Dispose());
                if (count <= 0)
                {
                    return false;
                }

                done += count;
            }

            return true;
        }

        private static bool Say(RawPeer peer, byte[] message, params SafeFileDescriptor[] files) =>
            message.Length == 0 || SocketMessages.TrySend(peer.Socket, message, default, files) == message.Length;

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

        private sealed class Dma(RamBlock ram) : IDma
        {
            // Some of the addresses that the server was given have no memory.
            public bool Read(GuestAddress address, Span<byte> destination)
            {
                bool inside = address.Value < ram.Size && (ulong)destination.Length <= ram.Size - address.Value;
                if (inside)
                {
                    ram.Read(address.Value, destination);
                }

                return inside;
            }

            public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
            {
                bool inside = address.Value < ram.Size && (ulong)source.Length <= ram.Size - address.Value;
                if (inside)
                {
                    ram.Write(address.Value, source);
                }

                return inside;
            }
        }
    }
}
