namespace Aperture.Watch;

/// <summary>
/// Takes bytes for a stream that may be slow, stuck or broken, and never makes their writer wait or fail: a bounded buffer and one background thread, which
/// starts with the first bytes. What does not fit is refused as a whole; after a failure everything is.
/// </summary>
public sealed class OutputQueue : IDisposable
{
    /// <summary>Bytes that may wait.</summary>
    public const int Capacity = 8 << 20;

    // For a reader that is only slow; one that is stuck does not hold the program back.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private readonly Stream _stream;
    private readonly Action<Exception>? _failed;

    // Everything below is read and written under this monitor, but for _writing's bytes, which are the thread's while it writes.
    private readonly object _gate = new();
    private MemoryStream _waiting = new();
    private MemoryStream _writing = new();
    private Thread? _thread;
    private bool _isWriting;
    private bool _ended;

    /// <summary>Makes an empty queue that owns <paramref name="stream"/>.</summary>
    /// <param name="stream">Used by the background thread only; closed at the end.</param>
    /// <param name="failed">Told on that thread, once, when the stream takes no more.</param>
    public OutputQueue(Stream stream, Action<Exception>? failed = null) => (_stream, _failed) = (stream, failed);

    /// <summary>Queues <paramref name="bytes"/>; false when they do not fit or the queue ended.</summary>
    public bool TryWrite(ReadOnlySpan<byte> bytes)
    {
        lock (_gate)
        {
            if (_ended || bytes.Length > Capacity - _waiting.Length)
            {
                return false;
            }

            _waiting.Write(bytes);
            Monitor.PulseAll(_gate);
            if (_thread is null)
            {
                _thread = new Thread(Drain) { IsBackground = true, Name = "output" };
                _thread.Start();
            }

            return true;
        }
    }

    /// <summary>Waits until everything is written or failed, at most <paramref name="patience"/>.</summary>
    public void Flush(TimeSpan patience)
    {
        long start = Environment.TickCount64;
        lock (_gate)
        {
            while ((_waiting.Length > 0 || _isWriting) && !_ended)
            {
                TimeSpan left = patience - TimeSpan.FromMilliseconds(Environment.TickCount64 - start);
                if (left <= TimeSpan.Zero || !Monitor.Wait(_gate, left))
                {
                    return;
                }
            }
        }
    }

    /// <summary>Writes out what waits and closes the stream; gives up on one that is stuck.</summary>
    public void Dispose()
    {
        Flush(Patience);
        Thread? thread;
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
            thread = _thread;
        }

        if (thread is null)
        {
            Close();
        }
        else if (thread != Thread.CurrentThread)
        {
            thread.Join(Patience);
        }
    }

    private void Drain()
    {
        try
        {
            while (Take() is { } batch)
            {
                _stream.Write(batch.GetBuffer().AsSpan(0, (int)batch.Length));
                _stream.Flush();
            }
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException or NotSupportedException or ObjectDisposedException)
        {
            End();
            _failed?.Invoke(fault);
        }
        finally
        {
            Close();
        }
    }

    private void End()
    {
        lock (_gate)
        {
            _ended = true;
            Monitor.PulseAll(_gate);
        }
    }

    // Everything that waits, once something does; null at the end.
    private MemoryStream? Take()
    {
        lock (_gate)
        {
            _isWriting = false;
            Monitor.PulseAll(_gate);
            while (_waiting.Length == 0 && !_ended)
            {
                Monitor.Wait(_gate);
            }

            if (_ended)
            {
                return null;
            }

            (_waiting, _writing) = (_writing, _waiting);
            _waiting.SetLength(0);
            _isWriting = true;
            return _writing;
        }
    }

    private void Close()
    {
        try
        {
            _stream.Dispose();
        }
        catch (IOException)
        {
            // What was written stays, and there is no more to come.
        }
    }
}
