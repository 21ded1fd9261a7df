namespace Aperture.Kvm;

/// <summary>
/// Decides when vCPU threads may be inside the guest. Each thread owns a <see cref="Seat"/>; others hold everybody outside (<see cref="Hold"/>) or stop
/// everybody (<see cref="RequestStop"/>). It knows nothing of KVM: a seat's kick is a delegate.
/// </summary>
/// <remarks>
/// <para>Two words are shared without a lock. <c>Seat._inside</c> is written by its own thread only and read by holders; <c>_attention</c> is written
/// under <c>_lock</c> by holders and stoppers and read by every seat's thread. Entering is: inside = 1, read attention. Holding is: attention + 1,
/// barrier on every processor that runs a thread of this process, read inside. That barrier falls before, between or after the two steps of a seat
/// that is entering, and stands for the seat's own: at least one side therefore sees the other, so either the seat sees attention and turns back,
/// or the holder sees inside and kicks. Entering happens at every exit and costs no barrier; holding is rare and pays for both.
/// A kick stays pending until the thread is in the guest, so it cannot come too early.</para>
/// <para>A holder waits for nothing but "not inside", which a kicked thread reaches without any lock. Holds are counted, not owned, so two
/// threads that hold at once, a thread that holds twice and a vCPU's own handler that holds (it is outside already) cannot block each other.
/// What a holder changes while it holds needs a lock of its own, taken before <see cref="Hold"/>; a handler that waits for that lock is outside too.</para>
/// <para><see cref="WaitStopped"/> waits for more, namely that every thread has come back from its handler to the gate: call it with no lock that
/// a handler may take, and never on a seat's thread.</para>
/// </remarks>
internal sealed class EntryGate
{
    private readonly object _lock = new();
    private readonly List<Seat> _seats = [];

    // Reasons not to enter the guest: one for each hold, one for a stop, one for the end.
    private int _attention = 1;
    private int _holds;
    private bool _stopped = true;
    private bool _closed;

    /// <summary>True from <see cref="RequestStop"/> to <see cref="Resume"/>, and at first.</summary>
    public bool IsStopped
    {
        get
        {
            lock (_lock)
            {
                return _stopped;
            }
        }
    }

    /// <summary>Adds a seat, at rest, before its thread starts.</summary>
    public Seat AddSeat(Action kick)
    {
        Seat seat = new(this, kick);
        lock (_lock)
        {
            _seats.Add(seat);
        }

        return seat;
    }

    /// <summary>Keeps every seat outside the guest until the returned hold is disposed; on return none is inside. Any thread, a seat's too.</summary>
    public VcpuHold Hold()
    {
        lock (_lock)
        {
            _holds++;
            Interlocked.Increment(ref _attention);
        }

        KickInside();
        foreach (Seat seat in _seats)
        {
            SpinWait wait = default;
            while (seat.IsInside)
            {
                wait.SpinOnce(sleep1Threshold: 200);
            }
        }

        return new VcpuHold(this);
    }

    /// <summary>Asks every seat to come to rest; returns at once. Any thread. False when that was asked already.</summary>
    public bool RequestStop()
    {
        lock (_lock)
        {
            if (_stopped)
            {
                return false;
            }

            _stopped = true;
            Interlocked.Increment(ref _attention);
            Monitor.PulseAll(_lock);
        }

        KickInside();
        return true;
    }

    /// <summary>Waits until every seat is at rest after <see cref="RequestStop"/>; false when <paramref name="timeout"/> ran out.</summary>
    public bool WaitStopped(TimeSpan timeout)
    {
        long deadline = timeout == Timeout.InfiniteTimeSpan ? long.MaxValue : Environment.TickCount64 + (long)timeout.TotalMilliseconds;
        lock (_lock)
        {
            while (!_stopped || !_seats.TrueForAll(seat => seat.AtRest))
            {
                long left = deadline - Environment.TickCount64;
                if (left <= 0)
                {
                    return false;
                }

                Monitor.Wait(_lock, (int)Math.Min(left, 1000));
            }

            return true;
        }
    }

    /// <summary>Lets every seat go, parked ones too.</summary>
    /// <exception cref="InvalidOperationException">Not stopped, or a seat has not come to rest yet.</exception>
    public void Resume()
    {
        lock (_lock)
        {
            if (!_stopped || _closed || !_seats.TrueForAll(seat => seat.AtRest))
            {
                throw new InvalidOperationException("vCPUs can be resumed only after they have all been stopped");
            }

            foreach (Seat seat in _seats)
            {
                seat.Parked = false;
                seat.AtRest = false;
            }

            _stopped = false;
            Interlocked.Decrement(ref _attention);
            Monitor.PulseAll(_lock);
        }
    }

    /// <summary>Ends it: every seat's thread is told to return.</summary>
    public void Close()
    {
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
            Interlocked.Increment(ref _attention);
            Monitor.PulseAll(_lock);
        }

        KickInside();
    }

    internal void Release()
    {
        lock (_lock)
        {
            _holds--;
            Interlocked.Decrement(ref _attention);
            if (_holds == 0)
            {
                Monitor.PulseAll(_lock);
            }
        }
    }

    private void KickInside()
    {
        // Pairs with the order of the two steps in TryEnter, which the processor may not keep by itself.
        Interlocked.MemoryBarrierProcessWide();
        foreach (Seat seat in _seats)
        {
            if (seat.IsInside)
            {
                seat.Kick();
            }
        }
    }

    /// <summary>One vCPU thread's place at the gate.</summary>
    internal sealed class Seat(EntryGate gate, Action kick)
    {
        private int _inside;

        /// <summary>True while its thread is, or is about to be, in the guest.</summary>
        public bool IsInside => Volatile.Read(ref _inside) != 0;

        /// <summary>Under the gate's lock: its thread waits at the gate, with nothing left to do, because of a stop or of <see cref="Parked"/>.</summary>
        internal bool AtRest { get; set; } = true;

        /// <summary>Under the gate's lock: stays at the gate until <see cref="EntryGate.Resume"/>.</summary>
        internal bool Parked { get; set; }

        internal Action Kick { get; } = kick;

        /// <summary>
        /// On its own thread: true when it may enter the guest now, and must <see cref="Leave"/> afterwards; false: go to <see cref="Wait"/>.
        /// </summary>
        public bool TryEnter()
        {
            // Two volatile accesses, which the compiler keeps in order; the processor is put in order by KickInside.
            Volatile.Write(ref _inside, 1);
            if (Volatile.Read(ref gate._attention) == 0)
            {
                return true;
            }

            Volatile.Write(ref _inside, 0);
            return false;
        }

        /// <summary>On its own thread: out of the guest. What the guest did is visible to whoever sees it (release).</summary>
        public void Leave() => Volatile.Write(ref _inside, 0);

        /// <summary>On its own thread: the next <see cref="Wait"/> lasts until <see cref="EntryGate.Resume"/>, and other seats run on.</summary>
        public void Park()
        {
            lock (gate._lock)
            {
                Parked = true;
            }
        }

        /// <summary>On its own thread: waits until it may try to enter again; false when it is to end.</summary>
        public bool Wait()
        {
            lock (gate._lock)
            {
                while (true)
                {
                    if (gate._closed)
                    {
                        AtRest = true;
                        Monitor.PulseAll(gate._lock);
                        return false;
                    }

                    if (gate._stopped || Parked)
                    {
                        AtRest = true;
                        Monitor.PulseAll(gate._lock);
                    }
                    else if (gate._holds == 0)
                    {
                        return true;
                    }

                    Monitor.Wait(gate._lock);
                }
            }
        }
    }
}

/// <summary>vCPUs held outside the guest (<see cref="VcpuGroup.PauseOthers"/>); disposing lets them go. Only the first disposal counts.</summary>
public sealed class VcpuHold : IDisposable
{
    private EntryGate? _gate;

    internal VcpuHold(EntryGate gate) => _gate = gate;

    /// <inheritdoc/>
    public void Dispose() => Interlocked.Exchange(ref _gate, null)?.Release();
}
