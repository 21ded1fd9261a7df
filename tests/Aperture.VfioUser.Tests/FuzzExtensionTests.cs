using System.Buffers.Binary;
using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Memory;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>
/// The same as <see cref="FuzzTests"/> where both sides agreed on faults, grants and revocations (docs/vfio-user.md): over either socket, with descriptors of
/// all kinds. Nothing is put in place that the source has not, and no revocation counts as acknowledged that was not.
/// </summary>
[Collection(nameof(Alone))]
public class FuzzExtensionTests
{
    private const ulong Page = 0x1000;
    private const int Region = 2;

    private static readonly VfioArea[] Areas = [new VfioArea(0x1000, 0x2000), new VfioArea(0x4000, 0x1000)];

    [Fact]
    public void The_corpus_of_each_direction_is_survived() => Alone.LeavesNothing("fuzz", () =>
    {
        using ServerTarget server = new(seed: 0);
        FuzzInput.Corpus("client-to-server.hex").ForEach(server.Feed);
        using ClientTarget client = new(seed: 0);
        FuzzInput.Corpus("server-to-client.hex").ForEach(client.Feed);
    });

    [Fact]
    public void A_server_that_grants_and_revokes_survives_any_messages() =>
        FuzzInput.Survives("client-to-server.hex", 21, static () => new ServerTarget(seed: 22));

    [Fact]
    public void A_client_that_maps_grants_survives_any_messages() => FuzzInput.Survives("server-to-client.hex", 23, static () => new ClientTarget(seed: 24));

    /// <summary>The sample with faulting areas in BAR 2, whose grants are of any kind.</summary>
    private sealed class GrantingDevice(ServedSample sample, Random random) : IFaultingDevice
    {
        public ulong Generation { get; set; }

        public IReadOnlyList<ServedRegion> Regions => sample.Regions;

        public IReadOnlyList<VfioIrq> Irqs => sample.Irqs;

        public bool CanReset => true;

        public void Connected(IDeviceClient client) => sample.Connected(client);

        public void Disconnected() => sample.Disconnected();

        public int Read(int region, ulong offset, Span<byte> destination) => sample.Read(region, offset, destination);

        public int Write(int region, ulong offset, ReadOnlySpan<byte> source) => sample.Write(region, offset, source);

        public int Reset() => sample.Reset();

        public IReadOnlyList<VfioArea> FaultingAreas(int region) => region == Region ? Areas : [];

        public ServedGrant Fault(int region, ulong offset, bool isWrite)
        {
            Assert.Contains(Areas, a => region == Region && offset >= a.Offset && offset - a.Offset < a.Size && offset % Page == 0);
            return (FaultAnswerKind)random.Next(3) is var kind && kind == FaultAnswerKind.Grant
                ? new ServedGrant(kind, offset, Page, sample.File, offset, isWrite, Generation)
                : new ServedGrant(kind, offset, 0, null, 0, false, Generation);
        }
    }

    /// <summary>A server that knows the extension, and a client that says anything over either socket.</summary>
    private sealed class ServerTarget : IFuzzTarget
    {
        private const string Version =
            """{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true},"aperture_faults":{"version":1}}}""";

        private readonly Random _random;
        private readonly ServedSample _sample = new(mappable: false);
        private readonly GrantingDevice _device;
        private readonly TemporaryFolder _folder = new();
        private readonly Reports _reports = new();
        private readonly EventFd _event = new();
        private readonly SafeFileDescriptor _memory;
        private readonly VfioUserServer _server;
        private RawPeer? _peer;
        private RawPeer? _twin;

        public ServerTarget(int seed)
        {
            _random = new Random(seed);
            _device = new GrantingDevice(_sample, new Random(seed + 1));
            Assert.Equal(0, MemoryFile.TryMake("fuzz", 0x10_0000, 0, out _memory));
            _server = VfioUserServer.Listen(_folder.In("s"), _device, _reports, new ServerLimits { PatienceMilliseconds = 20 });
        }

        public void Feed(byte[] message)
        {
            if (_peer is null)
            {
                Connect();
            }

            if (!(_random.Next(3) == 0 ? FeedRevocation(message) : FeedCommand(message)))
            {
                Hang();
            }
        }

        /// <summary>A good client gets an answer to a fault as ever.</summary>
        public void IsAlive()
        {
            Hang();
            using VfioUserDevice device = FuzzInput.Connect(_folder.In("s"), _reports, new ClientOptions { Grants = new Holder() });
            Assert.Equal(Areas, device.FaultingAreas(Region));
            Assert.Contains(TouchOutcome.Granted, Enumerable.Range(0, 64).Select(_ => device.Touch(Region, Page, false, static _ => { })));
        }

        public void Dispose()
        {
            Hang();
            _server.Dispose();
            _sample.Dispose();
            _memory.Dispose();
            _event.Dispose();
            _folder.Dispose();
        }

        private void Connect()
        {
            _peer = FuzzInput.Greet(_folder.In("s"), Version);
            _twin = RawPeer.Of(Assert.Single(_peer.Received));

            // The device has been told of this client when it answers.
            Assert.NotEmpty(_peer.Ask(Wire.Command(2, 4, new Wire().U32(16).U32(0).U32(0).U32(0))));
        }

        private void Hang()
        {
            _twin?.Dispose();
            _peer?.Dispose();
            (_twin, _peer) = (null, null);
        }

        // False when the connection is of no use any more.
        private bool FeedCommand(byte[] message)
        {
            SafeFileDescriptor[] kinds = [_memory, _event.Descriptor, _peer!.Socket, _twin!.Socket, _sample.File];
            SafeFileDescriptor[] files = _random.Next(2) == 0 || message.Length == 0 ? [] :
                [.. Enumerable.Range(0, _random.Next(12)).Select(_ => kinds[_random.Next(kinds.Length)])];
            bool sent = FuzzInput.Say(_peer, message, files);
            return FuzzInput.Drain(_peer) && sent && !FuzzInput.IsPart(message);
        }

        // The device takes pages back, and the message answers that.
        private bool FeedRevocation(byte[] message)
        {
            IDeviceClient client = _sample.Client!;
            ulong generation = ++_device.Generation;
            Task<bool> revokes = Task.Run(() => client.Revoke(Region, Page, Page, generation));
            if (FuzzInput.TryReceive(_twin!) is not { } request)
            {
                // Something before ended the session, and this came too late.
                Assert.True(revokes.Wait(20_000));
                Assert.False(revokes.Result);
                return false;
            }

            byte[] answer = _random.Next(4) == 0 ? message : FuzzInput.Fit(message, request);
            bool whole = FuzzInput.Say(_twin!, answer) && !FuzzInput.IsPart(answer);
            if (!whole)
            {
                Hang();
            }

            Assert.True(revokes.Wait(20_000));
            Assert.True(!revokes.Result || Acknowledges(answer, request), Convert.ToHexString(answer));
            return revokes.Result;
        }

        // Region, offset, size and generation, as docs/vfio-user.md has them.
        private static bool Acknowledges(byte[] answer, byte[] request) => FuzzInput.Answers(answer, request)
            && BinaryPrimitives.ReadUInt32LittleEndian(answer.AsSpan(4)) == 48
            && (answer[8] & 0x20) == 0
            && answer.AsSpan(16, 4).SequenceEqual(request.AsSpan(16, 4))
            && answer.AsSpan(24, 24).SequenceEqual(request.AsSpan(24, 24));
    }

    /// <summary>A client that maps grants, and a server that answers, grants and revokes anything.</summary>
    private sealed class ClientTarget : IFuzzTarget
    {
        private readonly Random _random;
        private readonly RamBlock _ram = RamBlock.Create("fuzz", 0x10_0000, shared: true);
        private readonly Reports _reports = new();
        private readonly EventFd _event = new();
        private readonly SafeFileDescriptor _source;
        private ScriptedServer? _server;
        private RawPeer? _twin;
        private int _next;

        public ClientTarget(int seed)
        {
            _random = new Random(seed);
            Assert.Equal(0, MemoryFile.TryMake("fuzz", 0x8000, 0, out _source));
        }

        /// <summary>Says this over the twin socket, or answers the client's next command with it, and then says what is right.</summary>
        public void Feed(byte[] message)
        {
            if (_server is null && !Start(_random.Next(4) == 0 ? message : null))
            {
                return;
            }

            VfioUserDevice device = _server!.Device;
            bool overTwin = _random.Next(3) == 0;
            bool lives = !overTwin || (FuzzInput.Say(_twin!, message) && !FuzzInput.IsPart(message) && FuzzInput.Drain(_twin!));
            if (!lives || !Ask(device, overTwin ? null : message))
            {
                End();
            }
        }

        public void Dispose()
        {
            End();
            _ram.Dispose();
            _event.Dispose();
            _source.Dispose();
        }

        // The right answers of a start, but for one that is the message; false when that was the end of it.
        private bool Start(byte[]? message)
        {
            _server = new ScriptedServer(_reports, new FuzzDma(_ram), null, new ClientOptions { Grants = new Holder() });
            Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor ours, out SafeFileDescriptor theirs));
            _twin = RawPeer.Of(ours);
            using (theirs)
            {
                List<byte[]> answers = ScriptedServer.ExtensionAnswers();
                int at = message is null ? -1 : _random.Next(answers.Count);
                for (int i = 0; i < answers.Count; i++)
                {
                    if (FuzzInput.TryReceive(_server.Peer) is not { } command)
                    {
                        return End();
                    }

                    SafeFileDescriptor[] files = i == 0 ? [theirs] : [];
                    if (i == at)
                    {
                        byte[] wrong = FuzzInput.Fit(message!, command);
                        _ = FuzzInput.Say(_server.Peer, wrong, wrong.Length == 0 ? [] : files);
                        return End();
                    }

                    Assert.True(FuzzInput.Say(_server.Peer, answers[i], files));
                }
            }

            return true;
        }

        // The client's next command, answered by the message if there is one; false when the client is dead, or would be.
        private bool Ask(VfioUserDevice device, byte[]? message)
        {
            Task<int> call = _server!.Call(Operation);
            if (FuzzInput.TryReceive(_server.Peer) is { } command)
            {
                byte[] answer = message is null ? FuzzInput.RightAnswer(command) : FuzzInput.Fit(message, command);
                SafeFileDescriptor[] kinds = [_source, _event.Descriptor, _twin!.Socket];
                SafeFileDescriptor[] files = answer.Length == 0 ? [] : [.. Enumerable.Range(0, _random.Next(3)).Select(_ => kinds[_random.Next(kinds.Length)])];
                if (FuzzInput.Say(_server.Peer, answer, files) && !FuzzInput.IsPart(answer) && !FuzzInput.Answers(answer, command))
                {
                    FuzzInput.Say(_server.Peer, FuzzInput.RightAnswer(command));
                }
            }

            // One that waits for more, or asks again, gets no more.
            if (!call.Wait(5))
            {
                _ = UnixSocket.Shutdown(_server.Peer.Socket);
            }

            Assert.True(call.Wait(20_000));
            return !device.IsDead;
        }

        private int Operation(VfioUserDevice device) => (_next++ % 4) switch
        {
            0 => device.Read(0, 0, new byte[8]),
            1 => (int)device.Touch(Region, 0x2000, true, Install),
            _ => (int)device.Touch(Region, Page, false, Install),
        };

        // What is put in place can be touched: it is there.
        private static void Install(GrantedPages pages)
        {
            Assert.Equal(Region, pages.Region);
            Assert.Contains(Areas, a => pages.Offset >= a.Offset && pages.Size <= a.Size && pages.Offset - a.Offset <= a.Size - pages.Size);
            Assert.Equal(0, MemoryMap.MapShared(pages.File, pages.FileOffset, pages.Size, pages.IsWritable, out HostAddress host));
            Assert.Equal(0, GuardedCopy.TryRead(host + (pages.Size - 8), new byte[8]));
            Assert.Equal(0, MemoryMap.Unmap(host, pages.Size));
        }

        private bool End()
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
                _twin?.Dispose();
                (_server, _twin) = (null, null);
            }

            return false;
        }
    }

    private sealed class Holder : IGrantHolder
    {
        public void Revoked(int region, ulong offset, ulong size)
        {
        }
    }
}
