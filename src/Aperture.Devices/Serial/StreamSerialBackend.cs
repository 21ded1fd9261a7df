namespace Aperture.Devices.Serial;

/// <summary>
/// Writes bytes to a stream that may be slow. Writers put a byte into a bounded ring; one background thread moves the ring to the
/// stream, in one piece per line, per quarter ring, or per <see cref="Linger"/> for an unfinished line. A full ring blocks the writer: bytes are
/// delayed, never lost, until the stream itself fails or <see cref="Abandon"/> gives up on it.
/// </summary>
public sealed class StreamSerialBackend : ISerialBackend, IDisposable
{
    /// <summary>Bytes the ring holds.</summary>
    public const int Capacity = 1 << 16;

    private const int Batch = Capacity / 4;

    private readonly Stream _stream;
    private readonly bool _leaveOpen;
    private readonly Thread _thread;
    private readonly byte[] _ring = new byte[Capacity];

    // All fields below are read and written under this monitor. One condition serves both directions: a drainer that waits needs a
    // filled ring, a writer that waits needs a full one, and nobody waits for long in between.
    private readonly object _gate = new();
    private int _head;
    private int _count;
    private int _writersWaiting;
    private bool _drainerWaiting;
    private bool _urgent;
    private bool _closing;
    private bool _dead;
    private Exception? _failure;

    /// <summary>Starts the thread.</summary>
    /// <param name="stream">Takes the bytes; used by the background thread only.</param>
    /// <param name="leaveOpen">False to dispose of the stream at the end.</param>
    public StreamSerialBackend(Stream stream, bool leaveOpen = false)
    {
        _stream = stream;
        _leaveOpen = leaveOpen;
        _thread = new Thread(Drain) { IsBackground = true, Name = "serial output" };
        _thread.Start();
    }

    /// <summary>How long the last bytes of an unfinished line may stay in the ring.</summary>
    public static TimeSpan Linger => TimeSpan.FromMilliseconds(5);

    /// <summary>Why the stream stopped taking bytes, or null while it does; bytes written after that are dropped.</summary>
    public Exception? Failure
    {
        get
        {
            lock (_gate)
            {
                return _failure;
            }
        }
    }

    /// <inheritdoc/>
    public void Write(byte value)
    {
        lock (_gate)
        {
            if (_closing)
            {
                return;
            }

            while (_count == Capacity && !_dead)
            {
                _writersWaiting++;
                Monitor.Wait(_gate);
                _writersWaiting--;
            }

            if (_dead)
            {
                return;
            }

            _ring[(_head + _count) & (Capacity - 1)] = value;
            _count++;
            bool urgent = value == (byte)'\n' || _count >= Batch;
            _urgent |= urgent;
            if (_drainerWaiting && (urgent || _count == 1))
            {
                Monitor.PulseAll(_gate);
            }
        }
    }

    /// <summary>Drops what is buffered and what comes later, and releases writers that wait: for a stream that nobody reads any more.</summary>
    public void Abandon()
    {
        lock (_gate)
        {
            Die();
        }
    }

    /// <summary>
    /// Writes out everything buffered and everything that writers wait to buffer, then stops the thread; writes that begin later are
    /// dropped. Waits as long as the stream does, unless <see cref="Abandon"/> came first; even then it waits for the write in progress.
    /// </summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closing = true;
            Monitor.PulseAll(_gate);
        }

        _thread.Join();
        if (!_leaveOpen)
        {
            CloseStream();
        }
    }

    private void Die()
    {
        _dead = true;
        _count = 0;
        Monitor.PulseAll(_gate);
    }

    private void Drain()
    {
        try
        {
            while (NextPiece() is { Length: > 0 } piece)
            {
                _stream.Write(piece.Span);
                if (Consume(piece.Length))
                {
                    _stream.Flush();
                }
            }
        }
        catch (Exception failure) when (failure is IOException or ObjectDisposedException or NotSupportedException or UnauthorizedAccessException)
        {
            lock (_gate)
            {
                _failure = failure;
                Die();
            }
        }
    }

    // The next run of bytes to write, once there is reason to; empty at the end.
    private ReadOnlyMemory<byte> NextPiece()
    {
        lock (_gate)
        {
            while (_count == 0 && !_dead && (!_closing || _writersWaiting > 0))
            {
                WaitAsDrainer(Timeout.InfiniteTimeSpan);
            }

            // A line in the making gets a moment to be completed; any wake-up that is not urgent only shortens it.
            if (!_urgent && !_closing && !_dead)
            {
                WaitAsDrainer(Linger);
            }

            _urgent = false;
            return _ring.AsMemory(_head, Math.Min(_count, Capacity - _head));
        }
    }

    private void WaitAsDrainer(TimeSpan limit)
    {
        _drainerWaiting = true;
        Monitor.Wait(_gate, limit);
        _drainerWaiting = false;
    }

    // Gives the space back; true when the ring ran empty, which is when to flush.
    private bool Consume(int length)
    {
        lock (_gate)
        {
            if (_dead)
            {
                return false;
            }

            _head = (_head + length) & (Capacity - 1);
            _count -= length;
            if (_writersWaiting > 0)
            {
                Monitor.PulseAll(_gate);
            }

            return _count == 0;
        }
    }

    private void CloseStream()
    {
        try
        {
            _stream.Dispose();
        }
        catch (IOException failure)
        {
            _failure ??= failure;
        }
    }
}
