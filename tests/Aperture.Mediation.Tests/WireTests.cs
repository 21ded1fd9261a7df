using System.Globalization;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.Mediation.Mediators;

namespace Aperture.Mediation.Tests;

/// <summary>
/// What a client of any make sends to the daemon and gets, byte for byte as the vfio-user document lays messages out: id, command, size, flags, errno; then the
/// payload. Little-endian, blanks for reading only.
/// </summary>
public class WireTests
{
    private const string Version = "0100 0100 28000000 00000000 00000000  0000 0100 " + Json + "00";
    private const string VersionReply = "0100 0100 28000000 01000000 00000000  0000 0100 " + Json + "00";

    // {"capabilities":{}}
    private const string Json = "7b226361706162696c6974696573223a7b7d7d";

    [Fact]
    public void A_standard_client_gets_a_partition_function_of_which_nothing_can_be_mapped()
    {
        using Place place = new(new PartitionMediator(8 * GrantBook.Page));
        using SafeFileDescriptor socket = Connect(place.Paths[0]);
        Says(socket, Version, VersionReply);

        // The device: reset and PCI, 9 regions, 5 kinds of interrupts.
        Says(socket, "0200 0400 20000000 00000000 00000000  10000000 00000000 00000000 00000000",
            "0200 0400 20000000 01000000 00000000  10000000 03000000 09000000 05000000");

        // BAR 0: 8 KiB, read and write. BAR 2: 32 KiB, read and write, no mmap, no capabilities. MSI-X: one vector by eventfd.
        Says(socket, "0300 0500 30000000 00000000 00000000  20000000 00000000 00000000 00000000 0000000000000000 0000000000000000",
            "0300 0500 30000000 01000000 00000000  20000000 03000000 00000000 00000000 0020000000000000 0000000000000000");
        Says(socket, "0400 0500 30000000 00000000 00000000  20000000 00000000 02000000 00000000 0000000000000000 0000000000000000",
            "0400 0500 30000000 01000000 00000000  20000000 03000000 02000000 00000000 0080000000000000 0000000000000000");
        Says(socket, "0500 0700 20000000 00000000 00000000  10000000 00000000 02000000 00000000",
            "0500 0700 20000000 01000000 00000000  10000000 01000000 02000000 01000000");

        // A touch before the claim reads ones. Claim pages 1 and 2 without waiting for answers; then the word is there, zero, and keeps what is written.
        Says(socket, "0600 0900 20000000 00000000 00000000  0010000000000000 02000000 04000000",
            "0600 0900 24000000 01000000 00000000  0010000000000000 02000000 04000000 ffffffff");
        Send(socket, "0700 0a00 24000000 10000000 00000000  2000000000000000 00000000 04000000 01000000"
            + "0800 0a00 24000000 10000000 00000000  2400000000000000 00000000 04000000 02000000"
            + "0900 0a00 24000000 10000000 00000000  2800000000000000 00000000 04000000 01000000");
        Says(socket, "0a00 0900 20000000 00000000 00000000  0010000000000000 02000000 04000000",
            "0a00 0900 24000000 01000000 00000000  0010000000000000 02000000 04000000 00000000");
        Says(socket, "0b00 0a00 28000000 00000000 00000000  0020000000000000 02000000 08000000 0102030405060708",
            "0b00 0a00 20000000 01000000 00000000  0020000000000000 02000000 08000000");

        // Ten bytes over the end of what is claimed.
        Says(socket, "0c00 0900 20000000 00000000 00000000  fb2f000000000000 02000000 0a000000",
            "0c00 0900 2a000000 01000000 00000000  fb2f000000000000 02000000 0a000000 0000000000 ffffffffff");
        Says(socket, "0d00 0900 20000000 00000000 00000000  0020000000000000 02000000 08000000",
            "0d00 0900 28000000 01000000 00000000  0020000000000000 02000000 08000000 0102030405060708");

        // Past the region: EINVAL. A region that is not there: EINVAL.
        Says(socket, "0e00 0900 20000000 00000000 00000000  fe7f000000000000 02000000 04000000", "0e00 0900 10000000 21000000 16000000");
        Says(socket, "0f00 0900 20000000 00000000 00000000  0000000000000000 03000000 04000000", "0f00 0900 10000000 21000000 16000000");

        // A reset takes it all.
        Says(socket, "1000 0d00 10000000 00000000 00000000", "1000 0d00 10000000 01000000 00000000");
        Says(socket, "1100 0900 20000000 00000000 00000000  0020000000000000 02000000 04000000",
            "1100 0900 24000000 01000000 00000000  0020000000000000 02000000 04000000 ffffffff");
        Assert.Equal(0, place.Host.Ledger.Count);
    }

    [Fact]
    public void A_client_that_ends_in_the_middle_of_any_message_gives_its_pages_back()
    {
        PartitionMediator mediator = new(8 * GrantBook.Page);
        using Place place = new(mediator);
        byte[] session = Convert.FromHexString((Version
            + "0700 0a00 24000000 10000000 00000000  2400000000000000 00000000 04000000 08000000"
            + "0900 0a00 24000000 10000000 00000000  2800000000000000 00000000 04000000 01000000"
            + "0b00 0a00 28000000 10000000 00000000  0020000000000000 02000000 08000000 0102030405060708").Replace(" ", "", StringComparison.Ordinal));
        for (int length = 0; length <= session.Length; length++)
        {
            using SafeFileDescriptor socket = Connect(place.Paths[0]);
            Assert.Equal(length, length == 0 ? 0 : SocketMessages.TrySend(socket, session.AsSpan(0, length), default, []));
        }

        Assert.True(SpinWait.SpinUntil(
            () => place.Reports.Count("vfio-user.disconnected") + place.Reports.Count("vfio-user.ended") == session.Length + 1, 20_000));
        Assert.Equal((8, 0), (mediator.Free, place.Host.Ledger.Count));
    }

    [Fact]
    public void A_client_of_the_extension_gets_grants_with_a_descriptor_once_and_acknowledges_revocations()
    {
        using Place place = new(new PartitionMediator(8 * GrantBook.Page, trust: true), guests: 2);
        using SafeFileDescriptor socket = Connect(place.Paths[0]);
        const string Wish = """{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true},"aperture_faults":{"version":1}}}""";
        const string Answer = """{"capabilities":{"max_msg_fds":8,"twin_socket":{"supported":true,"fd_index":0},"aperture_faults":{"version":1}}}""";
        Send(socket, $"0100 0100 {Size(Wish)} 00000000 00000000 0000 0100 {Hex(Wish)} 00");
        using SafeFileDescriptor twin = Assert.Single(Hears(socket, $"0100 0100 {Size(Answer)} 01000000 00000000 0000 0100 {Hex(Answer)} 00"));
        _ = UnixSocket.SetTimeouts(twin, 20_000, 20_000);

        // BAR 2 has a capability more: id 0x4101, version 1, one area, all of it. What does not fit is told.
        Says(socket, "0200 0500 30000000 00000000 00000000  20000000 00000000 02000000 00000000 0000000000000000 0000000000000000",
            "0200 0500 30000000 01000000 00000000  40000000 0b000000 02000000 20000000 0080000000000000 0000000000000000");
        Says(socket, "0300 0500 30000000 00000000 00000000  40000000 00000000 02000000 00000000 0000000000000000 0000000000000000",
            "0300 0500 50000000 01000000 00000000  40000000 0b000000 02000000 20000000 0080000000000000 0000000000000000"
            + "0141 0100 00000000 01000000 00000000 0000000000000000 0080000000000000");

        // Claim all. Pages 1 and 2 are granted from source 1, whose descriptor comes once.
        Send(socket, "0400 0a00 24000000 10000000 00000000  2400000000000000 00000000 04000000 08000000"
            + "0500 0a00 24000000 10000000 00000000  2800000000000000 00000000 04000000 01000000"
            + "0600 0141 30000000 00000000 00000000  02000000 00000000 0010000000000000 0000000000000000 0000000000000000");
        SafeFileDescriptor source = Assert.Single(Hears(socket, "0600 0141 50000000 01000000 00000000  02000000 02000000 0010000000000000 0010000000000000"
            + "0100000000000000 0000000000000000 03000000 00000000 0000000000000000 0000000000000000"));
        source.Dispose();
        Says(socket, "0700 0141 30000000 00000000 00000000  02000000 01000000 0020000000000000 0000000000000000 0000000000000000",
            "0700 0141 50000000 01000000 00000000  02000000 02000000 0020000000000000 0010000000000000"
            + "0100000000000000 0010000000000000 03000000 00000000 0000000000000000 0000000000000000");

        // No such area, half a page, too short: EINVAL.
        Says(socket, "0800 0141 30000000 00000000 00000000  00000000 00000000 0000000000000000 0000000000000000 0000000000000000",
            "0800 0141 10000000 21000000 16000000");
        Says(socket, "0900 0141 30000000 00000000 00000000  02000000 00000000 0008000000000000 0000000000000000 0000000000000000",
            "0900 0141 10000000 21000000 16000000");
        Says(socket, "0a00 0141 14000000 00000000 00000000  02000000", "0a00 0141 10000000 21000000 16000000");

        // Another guest takes all that is left and one page more, which waits for the acknowledgement.
        using TestGuest other = place.Connect(1);
        other.Ring(PartitionCommand.Claim, 0, 8);
        other.ReadMany(PartitionMediator.WindowBar, 0, (int)(6 * GrantBook.Page));
        uint seen = 1;
        Thread takes = new(() => seen = other.Read(PartitionMediator.WindowBar, 6 * GrantBook.Page));
        takes.Start();
        Hears(twin, "0000 0241 30000000 00000000 00000000  02000000 00000000 0010000000000000 0010000000000000 0100000000000000");

        // It could not come in any time; this only makes it likely to be seen if it did.
        Assert.False(takes.Join(50));
        Send(twin, "0000 0241 30000000 01000000 00000000  02000000 00000000 0010000000000000 0010000000000000 0100000000000000");
        Assert.True(takes.Join(20_000));
        Assert.Equal(0u, seen);
    }

    [Fact]
    public void A_client_that_goes_while_it_is_asked_to_let_go_does_no_harm_to_who_asks()
    {
        FakeMediator mediator = new();
        IGuest? known = null;
        mediator.Description = mediator.Description with { TrustsClient = true };
        mediator.OnFault = (guest, _) =>
        {
            known = guest;
            return FaultAnswer.Give(mediator.Identity(0, GrantBook.Page));
        };
        using Place place = new(mediator);
        const string Wish = """{"capabilities":{"twin_socket":{"supported":true},"aperture_faults":{"version":1}}}""";
        const string Answer = """{"capabilities":{"twin_socket":{"supported":true,"fd_index":0},"aperture_faults":{"version":1}}}""";
        Exception? thrown = null;
        for (int i = 1; i <= 200; i++)
        {
            using SafeFileDescriptor socket = Connect(place.Paths[0]);
            Send(socket, $"0100 0100 {Size(Wish)} 00000000 00000000 0000 0100 {Hex(Wish)} 00");
            using SafeFileDescriptor twin = Assert.Single(Hears(socket, $"0100 0100 {Size(Answer)} 01000000 00000000 0000 0100 {Hex(Answer)} 00"));
            Send(socket, "0600 0141 30000000 00000000 00000000  02000000 00000000 0000000000000000 0000000000000000 0000000000000000");
            Hears(socket, "0600 0141 50000000 01000000 00000000").ForEach(static d => d.Dispose());
            Thread takes = new(() => thrown ??= Record.Exception(() => known!.Revoke(2, 0, GrantBook.Page)));
            takes.Start();
            Hears(twin, "0000 0241");
            socket.Dispose();
            Assert.True(takes.Join(20_000));
            place.Reports.Await("mediation.ended", i);
        }

        Assert.Null(thrown);
        Assert.Equal(0, place.Host.Ledger.Count);
    }

    private static string Hex(string text) => Convert.ToHexString(System.Text.Encoding.UTF8.GetBytes(text));

    private static string Size(string json) => Convert.ToHexString(BitConverter.GetBytes(16 + 4 + json.Length + 1));

    private static SafeFileDescriptor Connect(string path)
    {
        Assert.Equal(0, UnixSocket.TryConnect(path, out SafeFileDescriptor socket));
        _ = UnixSocket.SetTimeouts(socket, 20_000, 20_000);
        return socket;
    }

    private static void Send(SafeFileDescriptor socket, string hex)
    {
        byte[] bytes = Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));
        Assert.Equal(bytes.Length, SocketMessages.TrySend(socket, bytes, default, []));
    }

    private static void Says(SafeFileDescriptor socket, string command, string reply)
    {
        Send(socket, command);
        Assert.Empty(Hears(socket, reply));
    }

    private static List<SafeFileDescriptor> Hears(SafeFileDescriptor socket, string reply)
    {
        byte[] expected = Convert.FromHexString(reply.Replace(" ", "", StringComparison.Ordinal));
        byte[] bytes = new byte[expected.Length];
        List<SafeFileDescriptor> descriptors = [];
        for (int done = 0; done < bytes.Length;)
        {
            int got = SocketMessages.TryReceive(socket, bytes.AsSpan(done), 16, descriptors, out _);
            Assert.True(got > 0, string.Create(CultureInfo.InvariantCulture, $"{got} after {Convert.ToHexString(bytes, 0, done)}"));
            done += got;
        }

        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(bytes));
        return descriptors;
    }
}
