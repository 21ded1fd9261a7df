using Aperture.Assignment;
using Aperture.Linux;
using Aperture.Memory;
using Aperture.VfioUser.Client;
using Aperture.VfioUser.Server;

namespace Aperture.VfioUser.Tests;

/// <summary>Clients and servers that end at any moment leave nothing behind.</summary>
[Collection(nameof(Alone))]
public class LifeTests
{
    private static readonly byte[] Version = Wire.Command(1, 1, Wire.Version(0, 1, """{"capabilities":{"max_msg_fds":8}}"""));

    [Fact]
    public void A_client_that_dies_at_any_byte_of_a_session_leaves_nothing() => Alone.LeavesNothing("victim", () =>
    {
        using ServedSample device = new();
        using TemporaryFolder folder = new();
        using EventFd trigger = new();
        Assert.Equal(0, MemoryFile.TryMake("victim", 0x4000, 0, out SafeFileDescriptor file));
        (byte[] Bytes, SafeFileDescriptor[] Files, bool Answered)[] session =
        [
            (Version, [], true),
            (Wire.Command(2, 2, new Wire().U32(32).U32(3).U64(0).U64(0).U64(0x4000)), [file], true),
            (Wire.Command(3, 8, new Wire().U32(20).U32(0x24).U32(2).U32(0).U32(2)), [trigger.Descriptor, trigger.Descriptor], true),
            (Wire.Command(4, 9, new Wire().U64(0).U32(0).U32(64)), [], true),
            (Wire.Message(5, 10, 0x10, new Wire().U64(0).U32(0).U32(8).U64(7)), [], false),
            (Wire.Command(6, 5, new Wire().U32(80).U32(0).U32(2).U32(0).U64(0).U64(0)), [], true),
            (Wire.Command(7, 13, new Wire()), [], true),
        ];
        string path = Path.Combine(folder.Path, "s");
        Reports reports = new();
        using VfioUserServer server = VfioUserServer.Listen(path, device, reports);
        int sessions = 0;
        for (int victim = 0; victim < session.Length; victim++)
        {
            // Between two messages, within a header, within a payload, and with the answer unread.
            foreach (int cut in new[] { 0, 1, 15, 16, session[victim].Bytes.Length - 1, session[victim].Bytes.Length })
            {
                using RawPeer peer = Connect(path);
                foreach ((byte[] bytes, SafeFileDescriptor[] files, bool answered) in session[..victim])
                {
                    peer.Send(bytes, files);
                    _ = answered ? peer.Receive() : [];
                }

                int length = Math.Min(cut, session[victim].Bytes.Length);
                peer.Send(session[victim].Bytes[..length], length == 0 ? [] : session[victim].Files);
                peer.Dispose();
                reports.AwaitEnds(++sessions);
            }
        }

        file.Dispose();
        using VfioUserDevice last = VfioUserDevice.Connect(path, reports);
        Assert.Equal(0, last.Read(0, 0, new byte[8]));
    });

    [Fact]
    public void A_server_that_dies_at_any_answer_leaves_nothing() => Alone.LeavesNothing("scripted", () =>
    {
        int steps = ScriptedServer.Answers().Count;
        for (int step = 0; step <= steps; step++)
        {
            using ScriptedServer server = new(new Reports());
            server.Start(steps: step);
            if (step == steps)
            {
                server.Device.Map(2, new VfioArea(0x1000, 0x1000)).Dispose();
            }

            server.Peer.Dispose();
            if (step < steps)
            {
                Assert.ThrowsAny<ApertureException>(() => server.Device);
            }
        }
    });

    [Fact]
    public void A_thousand_sessions_leave_nothing() => Alone.LeavesNothing("thousand", () =>
    {
        using ServedSample device = new();
        using TemporaryFolder folder = new();
        using RamBlock ram = RamBlock.Create("thousand", 0x10_0000, shared: true);
        using EventFd trigger = new();
        string path = Path.Combine(folder.Path, "s");
        Reports reports = new();
        using VfioUserServer server = VfioUserServer.Listen(path, device, reports);
        for (int i = 0; i < 500; i++)
        {
            using VfioUserDevice client = VfioUserDevice.Connect(path, reports, null, new SharedBlocks(ram));
            Assert.Equal(0, client.Iommu.Map(new AddressRange(GuestAddress.Zero, 0x10_0000), ram.HostAddress, true));
            Assert.Equal(0, client.SetTriggers(2, 0, [trigger, trigger]));
            using RamBlock area = client.Map(2, client.Regions[2].Areas[0]);
            Assert.True(device.Client!.Memory.Write(new GuestAddress(8), [1]));
            client.Dispose();
            device.Await("disconnected", i + 1);
        }

        Assert.Empty(reports.Notices);
    });

    [Fact]
    public void Memory_that_the_client_cuts_is_refused_and_kills_nobody()
    {
        using ServedSample device = new();
        using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor socket);
        using VfioUserServer server = VfioUserServer.FromDescriptor(socket, device, new Reports());
        peer.Ask(Version);
        using TemporaryFile file = new(new byte[0x2000]);
        using (SafeFileDescriptor opened = FileDescriptors.Open(file.Path, OpenFlags.ReadWrite))
        {
            Assert.Equal(
                Wire.Reply(2, 2, new Wire()), peer.Ask(Wire.Command(2, 2, new Wire().U32(32).U32(3).U64(0).U64(0).U64(0x2000)), opened));
        }

        byte[] bytes = new byte[16];
        IDma memory = device.Client!.Memory;
        Assert.True(memory.Write(new GuestAddress(0x1FF0), bytes));
        using (FileStream stream = File.OpenWrite(file.Path))
        {
            stream.SetLength(0x1000);
        }

        Assert.False(memory.Read(new GuestAddress(0x1FF0), bytes));
        Assert.False(memory.Write(new GuestAddress(0xFF8), bytes));
        Assert.True(memory.Read(new GuestAddress(0xFF0), bytes));
    }

    private static RawPeer Connect(string path)
    {
        Assert.Equal(0, Linux.Net.UnixSocket.TryConnect(path, out SafeFileDescriptor socket));
        return RawPeer.Of(socket);
    }
}
