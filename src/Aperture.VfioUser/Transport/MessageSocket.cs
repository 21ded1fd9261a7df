using System.Buffers.Binary;
using Aperture.Linux;
using Aperture.Linux.Net;
using Aperture.VfioUser.Protocol;

namespace Aperture.VfioUser.Transport;

/// <summary>What came of waiting for a message.</summary>
internal enum Received
{
    /// <summary>A message.</summary>
    Message,

    /// <summary>The other side is gone, or this one was shut down.</summary>
    Closed,

    /// <summary>Nothing, or not the whole of a message, within the time that may pass.</summary>
    TimedOut,

    /// <summary>A size that no message may have. What follows cannot be told apart any more: only closing helps.</summary>
    Malformed,
}

/// <summary>
/// Messages of a connection: whole ones out, whole ones in, in one system call each where it can be. Its buffer grows to what may be received and no further,
/// whatever a message claims. One thread receives at a time and one sends.
/// <para>
/// Descriptors belong to the message that starts last among the bytes that they came with: the kernel gives no bytes beyond those that descriptors were sent
/// with, and a message is sent with one call (or its header is).
/// </para>
/// </summary>
internal sealed class MessageSocket : IDisposable
{
    private const int FirstBuffer = 4096;

    private readonly SafeFileDescriptor _socket;
    private readonly List<SafeFileDescriptor> _arrived = [];
    private readonly List<(int At, SafeFileDescriptor Descriptor)> _waiting = [];
    private MessageDescriptors _current = MessageDescriptors.None;

    // Bytes from _start to _end are there; the first _consumed of them are the message that was handed out.
    private byte[] _buffer = new byte[FirstBuffer];
    private int _start;
    private int _end;
    private int _consumed;

    // Where the message starts for which descriptors came that could not be taken; -1: none.
    private int _lostAt = -1;

    /// <summary>Takes over a connected stream socket.</summary>
    public MessageSocket(SafeFileDescriptor socket) => _socket = socket;

    /// <summary>The socket, to wait for or to shut down.</summary>
    public SafeFileDescriptor Socket => _socket;

    /// <summary>The longest payload that may come, in bytes.</summary>
    public int MostPayload { get; set; } = VersionMessage.MostPayload;

    /// <summary>The most descriptors that may come with a message.</summary>
    public int MostDescriptors { get; set; } = 1;

    /// <summary>
    /// How long the rest of a message may be on its way, in milliseconds; -1: for ever. Descriptors wait with it, among which may be the other end of this very
    /// connection: without a limit it would never be seen to end.
    /// </summary>
    public int MostPause { get; set; } = -1;

    /// <summary>How long a message may be waited for before its first byte is there, in milliseconds; -1: for ever.</summary>
    public int MostSilence { get; set; } = -1;

    /// <summary>Bytes of the buffer, for tests.</summary>
    internal int BufferLength => _buffer.Length;

    /// <summary>True when bytes were received that were not handed out yet.</summary>
    public bool HasBuffered => _end - _start > _consumed;

    /// <summary>Waits for a message. The payload stays valid until the next call.</summary>
    public Received Receive(out MessageHeader header, out ReadOnlySpan<byte> payload)
    {
        Release();
        header = default;
        payload = default;
        long started = 0;
        while (true)
        {
            int needed = MessageHeader.Length;
            if (_end - _start >= MessageHeader.Length)
            {
                header = MessageHeader.Read(_buffer.AsSpan(_start));
                if (header.Size < MessageHeader.Length || header.Size - MessageHeader.Length > (uint)MostPayload)
                {
                    return Received.Malformed;
                }

                needed = (int)header.Size;
                if (_end - _start >= needed)
                {
                    _consumed = needed;
                    payload = _buffer.AsSpan(_start + MessageHeader.Length, needed - MessageHeader.Length);
                    Claim();
                    return Received.Message;
                }
            }

            MakeRoom(needed);
            if (!MayWait(ref started))
            {
                return Received.TimedOut;
            }

            Received? end = Fill();
            if (end is { } reason)
            {
                return reason;
            }
        }
    }

    /// <summary>
    /// Takes the descriptors of the message that was handed out last: the caller closes them. Those that nobody takes are closed when the next message is asked
    /// for.
    /// </summary>
    public MessageDescriptors TakeDescriptors()
    {
        MessageDescriptors taken = _current;
        _current = MessageDescriptors.None;
        return taken;
    }

    /// <summary>Sends a message: its header and the start of its payload, then the rest of it. 0, or an errno; after one the connection is of no use.</summary>
    public int Send(ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail = default, ReadOnlySpan<SafeFileDescriptor> descriptors = default)
    {
        while (true)
        {
            int sent = SocketMessages.TrySend(_socket, head, tail, descriptors);
            if (sent < 0)
            {
                return sent == -Errno.EAGAIN ? Errno.ETIMEDOUT : -sent;
            }

            if (sent == head.Length + tail.Length)
            {
                return 0;
            }

            // A signal or a timeout cut it: the descriptors went with the first byte.
            descriptors = default;
            tail = sent > head.Length ? tail[(sent - head.Length)..] : tail;
            head = head[Math.Min(sent, head.Length)..];
        }
    }

    /// <summary>Closes the connection and all descriptors that nobody took.</summary>
    public void Dispose()
    {
        Release();
        foreach ((_, SafeFileDescriptor descriptor) in _waiting)
        {
            descriptor.Dispose();
        }

        _waiting.Clear();
        _socket.Dispose();
    }

    // What was handed out last goes.
    private void Release()
    {
        TakeDescriptors().Dispose();
        _start += _consumed;
        _consumed = 0;
        if (_start == _end)
        {
            _start = _end = 0;
        }
    }

    // The descriptors that came for the message at _start are the current ones.
    private void Claim()
    {
        bool lost = _lostAt == _start;
        _lostAt = lost ? -1 : _lostAt;
        int count = 0;
        while (count < _waiting.Count && _waiting[count].At <= _start)
        {
            count++;
        }

        if (count != 0 || lost)
        {
            _current = new MessageDescriptors(_waiting[..count].Select(static w => w.Descriptor), lost);
            _waiting.RemoveRange(0, count);
        }
    }

    // Room for a message of so many bytes from _start on.
    private void MakeRoom(int needed)
    {
        if (_buffer.Length - _start >= needed && _end < _buffer.Length)
        {
            return;
        }

        byte[] buffer = needed <= _buffer.Length ? _buffer : new byte[Math.Min(Math.Max(needed, _buffer.Length * 2), MessageHeader.Length + MostPayload)];
        _buffer.AsSpan(_start, _end - _start).CopyTo(buffer);
        for (int i = 0; i < _waiting.Count; i++)
        {
            _waiting[i] = (_waiting[i].At - _start, _waiting[i].Descriptor);
        }

        _lostAt = _lostAt < 0 ? -1 : _lostAt - _start;
        _end -= _start;
        _start = 0;
        _buffer = buffer;
    }

    // False when the time is over. Only where there is a limit the wait is a call of its own.
    private bool MayWait(ref long started)
    {
        int most = _end > _start ? MostPause : MostSilence;
        if (most < 0)
        {
            return true;
        }

        started = started == 0 ? Environment.TickCount64 : started;
        Span<PollItem> items = [new PollItem(_socket, PollEvents.Readable)];
        return Poll.Wait(items, (int)Math.Max(0, started + most - Environment.TickCount64)) != 0;
    }

    private Received? Fill()
    {
        int count = SocketMessages.TryReceive(_socket, _buffer.AsSpan(_end), MostDescriptors, _arrived, out bool lost);
        if (count <= 0)
        {
            return count == -Errno.EAGAIN ? Received.TimedOut : Received.Closed;
        }

        _end += count;
        if (_arrived.Count != 0 || lost)
        {
            Keep(lost);
        }

        return null;
    }

    private void Keep(bool lost)
    {
        int at = LastStart();
        int room = MostDescriptors - _waiting.FindAll(w => w.At == at).Count;
        foreach (SafeFileDescriptor descriptor in _arrived)
        {
            if (room-- > 0)
            {
                _waiting.Add((at, descriptor));
            }
            else
            {
                descriptor.Dispose();
                lost = true;
            }
        }

        _arrived.Clear();
        _lostAt = lost ? at : _lostAt;
    }

    private int LastStart()
    {
        int at = _start;
        while (_end - at > MessageHeader.Length)
        {
            uint size = BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(at + 4));
            if (size < MessageHeader.Length || size >= (uint)(_end - at))
            {
                break;
            }

            at += (int)size;
        }

        return at;
    }
}
