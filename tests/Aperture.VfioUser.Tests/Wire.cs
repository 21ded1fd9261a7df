using System.Buffers.Binary;
using Aperture.Linux;
using Aperture.Linux.Net;

namespace Aperture.VfioUser.Tests;

/// <summary>Bytes as the protocol's document lays them out, little-endian, written by hand and not by the code under test.</summary>
internal sealed class Wire
{
    private readonly List<byte> _bytes = [];

    public byte[] Bytes => [.. _bytes];

    /// <summary>A whole message: the 16 bytes of the header ("Header") around a payload.</summary>
    public static byte[] Message(ushort id, ushort command, uint flags, Wire payload, uint error = 0)
    {
        byte[] body = payload.Bytes;
        return [.. new Wire().U16(id).U16(command).U32((uint)(16 + body.Length)).U32(flags).U32(error)._bytes, .. body];
    }

    public static byte[] Command(ushort id, ushort command, Wire payload) => Message(id, command, 0, payload);

    public static byte[] Reply(ushort id, ushort command, Wire payload) => Message(id, command, 1, payload);

    public static byte[] Failure(ushort id, ushort command, uint error) => Message(id, command, 0x21, new Wire(), error);

    /// <summary>A version's payload: major, minor, JSON, NUL.</summary>
    public static Wire Version(ushort major, ushort minor, string json) => new Wire().U16(major).U16(minor).Text(json).U8(0);

    public Wire U8(byte value)
    {
        _bytes.Add(value);
        return this;
    }

    public Wire U16(ushort value) => Append(2, value);

    public Wire U32(uint value) => Append(4, value);

    public Wire U64(ulong value) => Append(8, value);

    public Wire Raw(params ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public Wire Text(string text)
    {
        _bytes.AddRange(System.Text.Encoding.UTF8.GetBytes(text));
        return this;
    }

    private Wire Append(int size, ulong value)
    {
        for (int i = 0; i < size; i++)
        {
            _bytes.Add((byte)(value >> (8 * i)));
        }

        return this;
    }
}

/// <summary>The other end of a connection, which says any bytes and looks at any bytes.</summary>
internal sealed class RawPeer : IDisposable
{
    private readonly List<SafeFileDescriptor> _received = [];

    private RawPeer(SafeFileDescriptor socket)
    {
        Socket = socket;
        _ = UnixSocket.SetTimeouts(socket, 20_000, 20_000);
    }

    public SafeFileDescriptor Socket { get; }

    /// <summary>Descriptors that came, in their order.</summary>
    public IReadOnlyList<SafeFileDescriptor> Received => _received;

    public static RawPeer Of(SafeFileDescriptor socket) => new(socket);

    public static RawPeer Pair(out SafeFileDescriptor other)
    {
        Assert.Equal(0, UnixSocket.TryPair(out SafeFileDescriptor socket, out other));
        return new RawPeer(socket);
    }

    public void Send(byte[] bytes, params SafeFileDescriptor[] descriptors) =>
        Assert.Equal(bytes.Length, SocketMessages.TrySend(Socket, bytes, default, descriptors));

    /// <summary>The next whole message.</summary>
    public byte[] Receive()
    {
        byte[] header = Exactly(16);
        byte[] body = Exactly((int)BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(4)) - 16);
        return [.. header, .. body];
    }

    /// <summary>True when the other side ended the connection.</summary>
    public bool IsClosed()
    {
        byte[] one = new byte[1];
        int count = SocketMessages.TryReceive(Socket, one, 0, [], out _);
        return count is 0 or -Errno.ECONNRESET;
    }

    public byte[] Ask(byte[] command, params SafeFileDescriptor[] descriptors)
    {
        Send(command, descriptors);
        return Receive();
    }

    public void Dispose()
    {
        Socket.Dispose();
        foreach (SafeFileDescriptor descriptor in _received)
        {
            descriptor.Dispose();
        }
    }

    private byte[] Exactly(int count)
    {
        byte[] bytes = new byte[count];
        for (int done = 0; done < count;)
        {
            int got = SocketMessages.TryReceive(Socket, bytes.AsSpan(done), 16, _received, out _);
            Assert.True(got > 0, $"{got} instead of {count - done} bytes");
            done += got;
        }

        return bytes;
    }
}
