using System.Net.Sockets;
using Aperture.Linux;
using Aperture.Linux.Net;

namespace Aperture.Machine.Control;

/// <summary>
/// Lines from a socket, each of a bounded length, and the descriptors that came with them (SCM_RIGHTS of unix(7)). Who disposes it closes what nobody took.
/// </summary>
/// <param name="socket">Read by nobody else.</param>
/// <param name="maxLength">Of a line, in bytes without its end.</param>
/// <param name="mostDescriptors">That wait for their line; more are closed, and the next line is refused.</param>
internal sealed class ControlLines(Socket socket, int maxLength, int mostDescriptors = 0) : IDisposable
{
    private readonly SafeFileDescriptor _socket = new((int)socket.Handle, ownsDescriptor: false);
    private readonly List<SafeFileDescriptor> _descriptors = [];
    private byte[] _buffer = new byte[4096];
    private int _start;
    private int _end;

    /// <summary>True after a line did not end within the bound; nothing more is read then.</summary>
    public bool IsTooLong { get; private set; }

    /// <summary>True after descriptors came that were not taken: too many, or this process has no number left.</summary>
    public bool HasLostDescriptors { get; private set; }

    /// <summary>The next line without its end, valid until the next call; false at the end of the stream, on an error, or when the line is too long.</summary>
    public bool TryRead(out ReadOnlyMemory<byte> line)
    {
        int searched = _start;
        while (true)
        {
            int newline = _buffer.AsSpan(searched, _end - searched).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                line = _buffer.AsMemory(_start, searched + newline - _start);
                _start = searched + newline + 1;
                return line.Length <= maxLength || TooLong(out line);
            }

            searched = _end;
            if (_end - _start > maxLength)
            {
                return TooLong(out line);
            }

            MakeRoom(ref searched);
            if (!Receive())
            {
                line = default;
                return false;
            }
        }
    }

    /// <summary>The descriptors that came since the last call, for the line just read. The caller owns them.</summary>
    public IReadOnlyList<SafeFileDescriptor> TakeDescriptors()
    {
        SafeFileDescriptor[] taken = [.. _descriptors];
        _descriptors.Clear();
        HasLostDescriptors = false;
        return taken;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SafeFileDescriptor descriptor in _descriptors)
        {
            descriptor.Dispose();
        }

        _descriptors.Clear();
    }

    private bool TooLong(out ReadOnlyMemory<byte> line)
    {
        IsTooLong = true;
        line = default;
        return false;
    }

    private void MakeRoom(ref int searched)
    {
        if (_start > 0)
        {
            Buffer.BlockCopy(_buffer, _start, _buffer, 0, _end - _start);
            (searched, _end, _start) = (searched - _start, _end - _start, 0);
        }

        if (_end == _buffer.Length)
        {
            Array.Resize(ref _buffer, _buffer.Length * 2);
        }
    }

    private bool Receive()
    {
        if (socket.SafeHandle.IsClosed)
        {
            return false;
        }

        int count = SocketMessages.TryReceive(_socket, _buffer.AsSpan(_end), mostDescriptors, _descriptors, out bool lost);
        HasLostDescriptors |= lost || _descriptors.Count > mostDescriptors;
        _end += Math.Max(count, 0);
        return count > 0;
    }
}
