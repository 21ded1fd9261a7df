using System.Numerics;
using Aperture.Pci;

namespace Aperture.Virtio.Transport;

/// <summary>
/// The thread that serves a virtio function's queues. A reset does not wait for the request that is under way: it abandons it, after which no
/// byte of guest memory is touched for its sake.
/// </summary>
internal sealed class VirtioWorker : IDisposable
{
    // Three buffers around 254 data segments of an indirect table; also the longest chain that is followed.
    private const int LargestChain = 260;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(10);

    private readonly PciFunction _function;
    private readonly VirtioDevice _device;
    private readonly VirtioCommonConfig _common;
    private readonly VirtioInterrupts _interrupts;
    private readonly SessionDma _dma;
    private readonly Ring[] _rings;
    private readonly Action<Exception>? _faulted;
    private readonly Thread _thread;

    // Guards _pending, _busy and _stop; pulsed when any of them changes.
    private readonly object _work = new();
    private ulong _pending;
    private bool _busy;
    private bool _stop;

    /// <summary>
    /// Makes and starts the worker. <paramref name="faulted"/> is told on its thread of what this program did wrong there; null: the process ends.
    /// </summary>
    public VirtioWorker(
        PciFunction function, VirtioDevice device, IDma dma, VirtioCommonConfig common, VirtioInterrupts interrupts, Action<Exception>? faulted)
    {
        (_function, _device, _common, _interrupts, _faulted) = (function, device, common, interrupts, faulted);
        _dma = new SessionDma(function, dma);
        _rings = new Ring[device.QueueCount];
        for (int i = 0; i < _rings.Length; i++)
        {
            _rings[i] = new Ring(new SplitQueue(_dma, LargestChain));
        }

        _thread = new Thread(Run) { IsBackground = true, Name = $"virtio {function.Name}" };
        _thread.Start();
    }

    /// <summary>Has the queues of <paramref name="queues"/> (a bit each) looked at.</summary>
    public void Wake(ulong queues)
    {
        lock (_work)
        {
            _pending |= queues;
            Monitor.PulseAll(_work);
        }
    }

    /// <summary>Ends the session: requests under way finish without touching guest memory, and the rings start anew.</summary>
    public void Abandon() => _dma.End(Patience);

    /// <summary>Waits until nothing is pending or under way.</summary>
    public bool WaitIdle(TimeSpan limit)
    {
        lock (_work)
        {
            while (!_stop && (_busy || _pending != 0))
            {
                if (!Monitor.Wait(_work, limit))
                {
                    return false;
                }
            }

            return true;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_work)
        {
            _stop = true;
            Monitor.PulseAll(_work);
        }

        Abandon();
        _thread.Join(StopPatience);
    }

    private void Run()
    {
        try
        {
            ServeAll();
        }
        catch (Exception fault) when (_faulted is not null)
        {
            // As on a vCPU's thread: the device serves nothing more, and whoever has the machine decides what becomes of it.
            lock (_work)
            {
                (_stop, _busy) = (true, false);
                Monitor.PulseAll(_work);
            }

            _faulted(fault);
        }
    }

    private void ServeAll()
    {
        while (NextWork() is ulong queues and not 0)
        {
            for (; queues != 0; queues &= queues - 1)
            {
                Serve(BitOperations.TrailingZeroCount(queues));
            }
        }
    }

    // The queues to serve; 0 to stop.
    private ulong NextWork()
    {
        lock (_work)
        {
            _busy = false;
            Monitor.PulseAll(_work);
            while (_pending == 0 && !_stop)
            {
                Monitor.Wait(_work);
            }

            ulong queues = _stop ? 0 : _pending;
            (_pending, _busy) = (0, queues != 0);
            return queues;
        }
    }

    private void Serve(int index)
    {
        int session = _dma.Begin();
        Ring ring = _rings[index];
        while (_dma.IsCurrent && _common.TryGetRunning(index, out QueueSetup setup, out ulong features))
        {
            if (ring.Session != session)
            {
                ring.Queue.Start(setup);
                ring.Session = session;
            }

            TakeResult taken = ring.Queue.Take((features & VirtioFeatures.IndirectDescriptors) != 0);
            if (taken == TakeResult.Empty)
            {
                return;
            }

            bool good = taken == TakeResult.Taken && ServeOne(index, ring.Queue, features);
            if (!good)
            {
                Fail();
                return;
            }
        }
    }

    private bool ServeOne(int index, SplitQueue queue, ulong features)
    {
        if (!_device.Handle(index, queue.Chain, features, out uint written) || !queue.Return(written, out bool interrupt))
        {
            return false;
        }

        if (interrupt)
        {
            _dma.Signal(_interrupts, index);
        }

        return true;
    }

    // A session that ended, or bus mastering that is off, is no fault of the driver's.
    private void Fail()
    {
        if (_dma.IsCurrent && _function.MayIssueRequests && _common.Break())
        {
            _interrupts.ConfigChanged();
        }
    }

    // A queue and the session it was started in; the worker thread's own.
    private sealed class Ring(SplitQueue queue)
    {
        public SplitQueue Queue { get; } = queue;

        public int Session { get; set; } = -1;
    }

    /// <summary>
    /// Guest memory for one session between two resets. <see cref="End"/> may be called by any thread, and may hold locks that a device register reached by
    /// DMA wants; therefore it waits for an access under way, but not for ever.
    /// </summary>
    private sealed class SessionDma(PciFunction function, IDma dma) : IDma
    {
        private readonly Lock _gate = new();

        // Incremented by End, read by the worker.
        private int _current;

        // The worker thread's own.
        private int _mine;

        public bool IsCurrent => Volatile.Read(ref _current) == _mine;

        public int Begin() => _mine = Volatile.Read(ref _current);

        public void End(TimeSpan patience)
        {
            Interlocked.Increment(ref _current);
            if (_gate.TryEnter(patience))
            {
                _gate.Exit();
            }
        }

        // Inside the gate, so that no interrupt of a session follows its end.
        public void Signal(VirtioInterrupts interrupts, int queue)
        {
            lock (_gate)
            {
                if (IsCurrent)
                {
                    interrupts.QueueServed(queue);
                }
            }
        }

        public bool Read(GuestAddress address, Span<byte> destination)
        {
            lock (_gate)
            {
                return IsCurrent && function.MayIssueRequests && dma.Read(address, destination);
            }
        }

        public bool Write(GuestAddress address, ReadOnlySpan<byte> source)
        {
            lock (_gate)
            {
                return IsCurrent && function.MayIssueRequests && dma.Write(address, source);
            }
        }
    }
}
