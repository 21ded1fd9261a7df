using Aperture.Linux;
using Aperture.VfioUser.Protocol;
using Aperture.VfioUser.Transport;
using FsCheck.Fluent;

namespace Aperture.VfioUser.Tests;

public class MessageSocketTests
{
    /// <summary>However the stream is cut, and however many messages are in a piece, the same messages come out with their own descriptors.</summary>
    [Fact]
    public void Messages_come_out_whole_with_their_descriptors_however_they_are_cut() => Prop.ForAll(
        (from sizes in Gen.OneOf(Gen.Choose(0, 40), Gen.Choose(0, 9000)).Two().Select(static t => new[] { t.Item1, t.Item2 }).ListOf(6)
         from cuts in Gen.Choose(1, 60).ListOf(6)
         select (sizes, cuts)).ToArbitrary(),
        drawn =>
        {
            using EventFd marker = new();
            using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor other);
            using MessageSocket socket = new(other) { MostPayload = 9000, MostDescriptors = 4 };
            int[] sizes = [.. drawn.sizes.SelectMany(static s => s)];
            int[] cuts = [.. drawn.cuts];
            for (int i = 0; i < sizes.Length; i++)
            {
                byte[] payload = new byte[sizes[i]];
                Array.Fill(payload, (byte)i);
                byte[] message = Wire.Command((ushort)i, 8, new Wire().Raw(payload));

                // One message in a few pieces; descriptors come with the first of them.
                int cut = Math.Min(message.Length, cuts[i % cuts.Length]);
                int count = i % 3;
                peer.Send(message[..cut], [.. Enumerable.Repeat(marker.Descriptor, count)]);
                if (cut < message.Length)
                {
                    peer.Send(message[cut..]);
                }
            }

            for (int i = 0; i < sizes.Length; i++)
            {
                Assert.Equal(Received.Message, socket.Receive(out MessageHeader header, out ReadOnlySpan<byte> payload));
                Assert.Equal((i, sizes[i]), (header.Id, payload.Length));
                Assert.True(payload.IndexOfAnyExcept((byte)i) < 0);
                using MessageDescriptors descriptors = socket.TakeDescriptors();
                Assert.Equal(i % 3, descriptors.Count);
                Assert.False(descriptors.Lost);
            }

            peer.Socket.Dispose();
            Assert.Equal(Received.Closed, socket.Receive(out _, out _));
        }).Holds(60);

    [Fact]
    public void More_descriptors_than_may_be_are_closed_and_told()
    {
        using EventFd marker = new();
        using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor other);
        using MessageSocket socket = new(other) { MostPayload = 100, MostDescriptors = 2 };
        SafeFileDescriptor[] Some(int count) => [.. Enumerable.Repeat(marker.Descriptor, count)];
        peer.Send(Wire.Command(1, 8, new Wire().U32(1)), Some(3));
        peer.Send(Wire.Command(2, 8, new Wire().U32(1)), Some(2));
        byte[] third = Wire.Command(3, 8, new Wire().U32(1));

        // Twice with pieces of one message.
        peer.Send(third[..10], Some(2));
        peer.Send(third[10..], Some(2));
        peer.Send(Wire.Command(4, 8, new Wire()));
        (int Count, bool Lost)[] expected = [(2, true), (2, false), (2, true), (0, false)];
        foreach ((int count, bool lost) in expected)
        {
            Assert.Equal(Received.Message, socket.Receive(out _, out _));
            using MessageDescriptors descriptors = socket.TakeDescriptors();
            Assert.Equal((count, lost), (descriptors.Count, descriptors.Lost));
        }
    }

    [Fact]
    public void The_buffer_grows_to_what_may_come_whatever_is_claimed()
    {
        using RawPeer peer = RawPeer.Pair(out SafeFileDescriptor other);
        using MessageSocket socket = new(other) { MostPayload = 5000 };
        peer.Send(Wire.Command(1, 8, new Wire().Raw(new byte[5000])));
        Assert.Equal(Received.Message, socket.Receive(out _, out ReadOnlySpan<byte> payload));
        Assert.Equal(5000, payload.Length);
        Assert.Equal(5016, socket.BufferLength);
        peer.Send(new Wire().U16(2).U16(8).U32(5017).U32(0).U32(0).Bytes);
        Assert.Equal(Received.Malformed, socket.Receive(out _, out _));
        Assert.Equal(5016, socket.BufferLength);
    }
}
