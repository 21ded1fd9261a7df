using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.VfioUser.Client;

namespace Aperture.VfioUser.Tests;

/// <summary>Servers that end at any message of a session with grants and revocations.</summary>
[Collection(nameof(Alone))]
public class ExtensionLifeTests
{
    private const ulong Page = 0x1000;

    /// <summary>What the server of the test does after its start, one message each.</summary>
    private enum Says
    {
        Grant,
        Revoke,
        GrantAgain,
        Trap,
        Nothing,
    }

    [Fact]
    public void A_server_that_dies_at_any_message_leaves_a_client_that_refuses_and_nothing_open() => Alone.LeavesNothing("scripted", () =>
    {
        for (Says last = Says.Grant; last <= Says.Nothing; last++)
        {
            Holder holder = new();
            Reports reports = new();
            using ScriptedServer server = new(reports, null, null, new ClientOptions { Grants = holder });
            using RawPeer twin = Start(server);
            for (Says at = Says.Grant; at < last; at++)
            {
                Play(server, twin, holder, at);
            }

            // Dead within a touch that waits, or between two; and the other way round.
            Task<TouchOutcome> touch = server.Call(device => device.Touch(2, Page, false, Holder.Install));
            Assert.Equal(0x4101, BitConverter.ToUInt16(server.Peer.Receive(), 2));
            ((int)last % 2 == 0 ? server.Peer : twin).Dispose();
            Assert.True(((IAsyncResult)touch).AsyncWaitHandle.WaitOne(20_000));
            VfioUserDevice device = server.Device;
            Assert.Equal((TouchOutcome.Refused, true), (touch.GetAwaiter().GetResult(), device.IsDead));
            Assert.Equal(TouchOutcome.Refused, device.Touch(2, Page, false, Holder.Install));
            Assert.Single(reports.Notices);
        }
    });

    private static RawPeer Start(ScriptedServer server)
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor ours, out SafeFileDescriptor theirs));
        using (theirs)
        {
            List<byte[]> answers = ScriptedServer.ExtensionAnswers();
            for (int i = 0; i < answers.Count; i++)
            {
                server.Peer.Receive();
                server.Peer.Send(answers[i], i == 0 ? [theirs] : []);
            }
        }

        _ = server.Device;
        return RawPeer.Of(ours);
    }

    private static void Play(ScriptedServer server, RawPeer twin, Holder holder, Says what)
    {
        if (what == Says.Revoke)
        {
            Wire pages = new Wire().U32(2).U32(0).U64(Page).U64(Page).U64(1);
            Assert.Equal(Wire.Reply(0, 0x4102, pages), twin.Ask(Wire.Command(0, 0x4102, pages)));
            Assert.Equal(1, holder.Revocations);
            return;
        }

        Task<TouchOutcome> touch = server.Call(device => device.Touch(2, Page, false, Holder.Install));
        ushort id = BitConverter.ToUInt16(server.Peer.Receive());
        uint answer = what == Says.Trap ? 1u : 2u;
        Wire reply = what == Says.Trap
            ? new Wire().U32(2).U32(answer).U64(Page).Raw(new byte[48])
            : new Wire().U32(2).U32(answer).U64(Page).U64(Page).U64(1).U64(0).U32(3).U32(0).U64(1).U64(0);
        server.Peer.Send(Wire.Reply(id, 0x4101, reply), what == Says.Grant ? [server.File] : []);
        Assert.True(((IAsyncResult)touch).AsyncWaitHandle.WaitOne(20_000));
        Assert.Equal(what == Says.Trap ? TouchOutcome.Trap : TouchOutcome.Granted, touch.GetAwaiter().GetResult());
    }

    private sealed class Holder : IGrantHolder
    {
        public int Revocations { get; private set; }

        public void Revoked(int region, ulong offset, ulong size) => Revocations++;

        // Maps and lets go, so that only what the client itself keeps could stay.
        public static void Install(GrantedPages pages)
        {
            Assert.Equal(0, MemoryMap.MapShared(pages.File, pages.FileOffset, pages.Size, pages.IsWritable, out HostAddress host));
            Assert.Equal(0, MemoryMap.Unmap(host, pages.Size));
        }
    }
}
