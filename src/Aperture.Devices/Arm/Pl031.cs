namespace Aperture.Devices.Arm;

/// <summary>
/// A PrimeCell real-time clock, PL031 (Arm DDI 0224): seconds in 32 bits, which a driver sets and reads as the time since 1970, and an alarm at one of them.
/// It starts at the host's time, and runs from the start whatever its control register says, as a clock that firmware started.
/// </summary>
public sealed class Pl031 : IAccessHandler, IWordRegisters, IResettable, IDisposable
{
    /// <summary>Bytes of its page.</summary>
    public const uint Length = PrimeCellId.PageSize;

    // Offsets (table 3-1).
    private const uint Data = 0x00;
    private const uint Match = 0x04;
    private const uint Load = 0x08;
    private const uint Control = 0x0C;
    private const uint InterruptMask = 0x10;
    private const uint RawInterrupt = 0x14;
    private const uint MaskedInterrupt = 0x18;
    private const uint InterruptClear = 0x1C;
    private const uint Running = 1;

    // A day: a longer wait is armed again, so that no guest value overflows the host's timer.
    private const uint LongestWait = 86_400;
    private static readonly PrimeCellId Id = new(0x031, 0);

    private readonly Lock _gate = new();
    private readonly TimeProvider _clock;
    private readonly IInterruptLine _interrupt;
    private readonly ITimer _alarm;

    // What the counter is ahead of the host's clock, modulo 2^32; the guest sets the counter.
    private uint _ahead;
    private uint _match;
    private uint _load;
    private bool _mask;
    private bool _raised;
    private bool _armed;
    private bool _asserted;

    /// <summary>Makes the clock, set to the host's time.</summary>
    public Pl031(TimeProvider clock, IInterruptLine interrupt)
    {
        ArgumentNullException.ThrowIfNull(clock);
        (_clock, _interrupt) = (clock, interrupt);
        _alarm = clock.CreateTimer(static rtc => ((Pl031)rtc!).OnAlarm(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadWords(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteWords(this, Length, offset, size, value);

    /// <summary>The alarm is off; the counter goes on, as one on a battery does.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            (_match, _load, _mask, _raised) = (0, 0, false, false);
            Disarm();
            Update();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _alarm.Dispose();

    uint IWordRegisters.ReadWord(ulong offset, uint lanes)
    {
        lock (_gate)
        {
            return offset switch
            {
                Data => Counter(),
                Match => _match,
                Load => _load,
                Control => Running,
                InterruptMask => _mask ? 1u : 0,
                RawInterrupt => _raised ? 1u : 0,
                MaskedInterrupt => _raised && _mask ? 1u : 0,
                _ => Id.Read(offset),
            };
        }
    }

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        lock (_gate)
        {
            switch (offset)
            {
                case Match:
                    _match = value;
                    Arm();
                    break;
                case Load:
                    _load = value;
                    _ahead = value - HostSeconds();
                    if (_armed)
                    {
                        Arm();
                    }

                    break;
                case InterruptMask:
                    _mask = (value & 1) != 0;
                    break;
                case InterruptClear when (value & 1) != 0:
                    _raised = false;
                    break;
                default:
                    break;
            }

            Update();
        }
    }

    private uint HostSeconds() => (uint)_clock.GetUtcNow().ToUnixTimeSeconds();

    private uint Counter() => HostSeconds() + _ahead;

    // The counter comes to any value once in 136 years; a match that it is at right now counts.
    private void Arm()
    {
        uint left = _match - Counter();
        _armed = left != 0;
        _raised |= left == 0;
        if (left == 0)
        {
            Disarm();
            return;
        }

        TimeSpan intoSecond = TimeSpan.FromTicks(_clock.GetUtcNow().UtcTicks % TimeSpan.TicksPerSecond);
        _alarm.Change(TimeSpan.FromSeconds(Math.Min(left, LongestWait)) - intoSecond, Timeout.InfiniteTimeSpan);
    }

    private void Disarm()
    {
        _armed = false;
        _alarm.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void OnAlarm()
    {
        lock (_gate)
        {
            if (_armed)
            {
                Arm();
                Update();
            }
        }
    }

    private void Update()
    {
        bool asserted = _raised && _mask;
        if (asserted != _asserted)
        {
            _asserted = asserted;
            _interrupt.Set(asserted);
        }
    }
}
