namespace Aperture.Devices.Serial;

/// <summary>
/// Writes bytes to a stream that may be slow. Writers put a byte into a bounded ring; one background thread moves the ring to the
/// stream, in one piece per line, per quarter ring, or per <see cref="Linger"/> for an unfinished line. A full ring blocks the writer, which delays bytes but
/// loses none; a stream that takes nothing for a writer's patience loses what comes until it takes some again. <see cref="Release"/> lets no writer wait, and
/// after <see cref="Hurry"/> the end does not wait for a stream that is stuck.
/// </summary>
public sealed class StreamSerialBackend : ISerialBackend, IDisposable
{
    /// <summary>Bytes the ring holds.</summary>
    public const int Capacity = 1 << 16;

    /// <summary>
    /// How long a writer, which may be a vCPU, waits for a stream that takes nothing: less than the 20 s after which Linux calls a processor stuck.
    /// </summary>
    public static readonly TimeSpan DefaultPatience = TimeSpan.FromSeconds(10);

    private const int Batch = Capacity / 4;
    private static readonly TimeSpan LastPatience = TimeSpan.FromSeconds(2);

    private readonly Stream _stream;
    private readonly bool _leaveOpen;
    private readonly TimeSpan _patience;
    private readonly Action? _stalls;
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
    private bool _drained;
    private Exception? _failure;

    // Nobody waits for room: the stream stalled, a request is to be followed, or it is to end soon.
    private bool _stalled;
    private bool _released;
    private bool _hurried;
    private long _taken;
    private long _dropped;

    /// <summary>Starts the thread.</summary>
    /// <param name="stream">Takes the bytes; used by the background thread only.</param>
    /// <param name="leaveOpen">False to dispose of the stream at the end.</param>
    /// <param name="patience">How long a writer waits for a stream that takes nothing; null for <see cref="DefaultPatience"/>.</param>
    /// <param name="stalls">Told on the writer's thread when its patience ended and bytes begin to be lost; once until the stream takes some again.</param>
    public StreamSerialBackend(Stream stream, bool leaveOpen = false, TimeSpan? patience = null, Action? stalls = null)
    {
        _stream = stream;
        _leaveOpen = leaveOpen;
        _patience = patience ?? DefaultPatience;
        _stalls = stalls;
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

    /// <summary>Bytes that were lost because nobody waited for room for them.</summary>
    public long Dropped
    {
        get
        {
            lock (_gate)
            {
                return _dropped;
            }
        }
    }

    /// <inheritdoc/>
    public void Write(byte value)
    {
        if (Put(value))
        {
            _stalls?.Invoke();
        }
    }

    // True when this byte is the first that is lost to a stalled stream.
    private bool Put(byte value)
    {
        lock (_gate)
        {
            if (_closing)
            {
                return false;
            }

            bool stalls = _count == Capacity && !_dead && WaitForRoom();
            if (_dead)
            {
                return false;
            }

            if (_count == Capacity)
            {
                _dropped++;
                return stalls;
            }

            _ring[(_head + _count) & (Capacity - 1)] = value;
            _count++;
            bool urgent = value == (byte)'\n' || _count >= Batch;
            _urgent |= urgent;
            if (_drainerWaiting && (urgent || _count == 1))
            {
                Monitor.PulseAll(_gate);
            }

            return false;
        }
    }

    // True when that took longer than a writer's patience.
    private bool WaitForRoom()
    {
        if (_stalled || _released)
        {
            return false;
        }

        long start = Environment.TickCount64;
        _writersWaiting++;
        while (_count == Capacity && !_dead && !_released && !_stalled)
        {
            TimeSpan left = _patience - TimeSpan.FromMilliseconds(Environment.TickCount64 - start);
            if (left <= TimeSpan.Zero || !Monitor.Wait(_gate, left))
            {
                break;
            }
        }

        _writersWaiting--;
        bool ended = _count == Capacity && !_dead && !_released && !_stalled;
        _stalled |= ended;
        return ended;
    }

    /// <summary>
    /// Releases the writers that wait, and lets none wait until <see cref="Resume"/>: what does not fit meanwhile is lost. For a machine that is to stop.
    /// </summary>
    public void Release()
    {
        lock (_gate)
        {
            _released = true;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Writers wait again; not after <see cref="Hurry"/>.</summary>
    public void Resume()
    {
        lock (_gate)
        {
            _released = _hurried;
        }
    }

    /// <summary>As <see cref="Release"/>, for good; and <see cref="Dispose"/> waits only while the stream takes something.</summary>
    public void Hurry()
    {
        lock (_gate)
        {
            _released = _hurried = true;
            Monitor.PulseAll(_gate);
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
    /// dropped. Waits as long as the stream does, unless <see cref="Abandon"/> came first; even then it waits for the write in progress. After
    /// <see cref="Hurry"/>, which may come while it waits, it gives up on a stream that takes nothing for a moment: the thread ends when that returns.
    /// </summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closing = true;
            Monitor.PulseAll(_gate);
            while (!_drained)
            {
                long before = _taken;
                bool isWoken = Monitor.Wait(_gate, _hurried ? LastPatience : Timeout.InfiniteTimeSpan);
                if (!isWoken && before == _taken)
                {
                    Die();
                    return;
                }
            }
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
        finally
        {
            lock (_gate)
            {
                _drained = true;
                Monitor.PulseAll(_gate);
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
            _taken += length;
            _stalled = false;
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
