using System.Net.Sockets;

namespace Aperture.Machine.Control;

/// <summary>Lines from a socket, each of a bounded length.</summary>
internal sealed class ControlLines(Socket socket, int maxLength)
{
    private byte[] _buffer = new byte[4096];
    private int _start;
    private int _end;

    /// <summary>True after a line did not end within the bound; nothing more is read then.</summary>
    public bool IsTooLong { get; private set; }

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
        try
        {
            int count = socket.Receive(_buffer.AsSpan(_end));
            _end += count;
            return count > 0;
        }
        catch (Exception fault) when (fault is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }
}
