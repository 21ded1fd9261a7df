namespace Aperture.Devices.Pc;

/// <summary>One comparator of the event timer (IA-PC HPET Specification 1.0a, section 2.3.8 and up). The block around it locks.</summary>
internal sealed class HpetTimer(uint routes, IInterruptLine?[] lines, ITimer timer) : IDisposable
{
    private const uint LevelBit = 1 << 1;
    private const uint EnableBit = 1 << 2;
    private const uint PeriodicBit = 1 << 3;
    private const uint PeriodicCapable = 1 << 4;
    private const uint SizeCapable = 1 << 5;
    private const uint SetValueBit = 1 << 6;
    private const uint Mode32Bit = 1 << 8;
    private const uint RouteField = 0x3E00;
    private const int RouteShift = 9;
    private const uint Writable = LevelBit | EnableBit | PeriodicBit | SetValueBit | Mode32Bit | RouteField;
    private const ulong TicksPerMillisecond = 100_000;

    // A day: a longer wait is armed again, so that no guest value overflows the host's timer.
    private const ulong LongestWait = 86_400_000;

    private uint _configuration;
    private ulong _comparator = ulong.MaxValue;
    private ulong _period;

    // The counter value of the next match, counted on past 64-bit wraps by difference only.
    private ulong _from;
    private ulong _distance;
    private bool _due;
    private IInterruptLine? _held;

    /// <summary>True for a level-triggered interrupt.</summary>
    public bool IsLevel => (_configuration & LevelBit) != 0;

    /// <summary>Where its interrupt goes; null while it is off or routed nowhere.</summary>
    public IInterruptLine? Line => IsEnabled ? lines[(_configuration & RouteField) >> RouteShift] : null;

    private bool IsEnabled => (_configuration & EnableBit) != 0;

    private bool IsPeriodic => (_configuration & PeriodicBit) != 0;

    private bool Is32Bit => (_configuration & Mode32Bit) != 0;

    /// <summary>Power-on values; the line goes down.</summary>
    public void Reset()
    {
        Hold(false);
        (_configuration, _comparator, _period, _due) = (0, ulong.MaxValue, 0, false);
        timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Reads the word at an offset from the timer's first register.</summary>
    public uint ReadWord(uint offset) => offset switch
    {
        0x0 => _configuration | PeriodicCapable | SizeCapable,
        0x4 => routes,
        0x8 => (uint)_comparator,
        0xC => Is32Bit ? 0 : (uint)(_comparator >> 32),
        _ => 0,
    };

    /// <summary>Writes a word.</summary>
    public void WriteWord(uint offset, uint value)
    {
        switch (offset)
        {
            case 0x0:
                Configure(value);
                break;
            case 0x8:
                WriteComparator(value, 0, last: Is32Bit);
                break;
            case 0xC when !Is32Bit:
                WriteComparator(value, 32, last: true);
                break;
            default:
                break;
        }
    }

    /// <summary>Works out the next match after <paramref name="now"/> and arms the host's timer.</summary>
    public void Schedule(ulong now, bool running)
    {
        _from = now;
        _distance = Is32Bit ? (uint)_comparator - (uint)now : _comparator - now;
        _due = running && IsEnabled;
        Arm(0);
    }

    /// <summary>True when the match has come; a periodic comparator then stands at its next one after <paramref name="now"/>.</summary>
    public bool TryExpire(ulong now)
    {
        ulong passed = now - _from;
        if (!_due || passed < _distance)
        {
            return false;
        }

        _due = false;
        if (IsPeriodic && _period != 0)
        {
            // Periods that the host slept through give one interrupt.
            ulong periods = ((passed - _distance) / _period) + 1;
            _comparator += periods * _period;
            _comparator = Is32Bit ? (uint)_comparator : _comparator;
            _distance += periods * _period;
            _due = true;
        }
        else
        {
            // A one-shot comes round again when the counter has wrapped (section 2.3.9.2.1).
            _distance += Is32Bit ? 1UL << 32 : 0;
            _due = Is32Bit;
        }

        return true;
    }

    /// <summary>Arms the host's timer for what is left of the wait.</summary>
    public void Rearm(ulong now, bool running)
    {
        _due &= running;
        Arm(now - _from);
    }

    /// <summary>Holds the line of a level interrupt, or lets it go.</summary>
    public void Hold(bool asserted)
    {
        IInterruptLine? wanted = asserted ? Line : null;
        if (!ReferenceEquals(wanted, _held))
        {
            _held?.Set(false);
            wanted?.Set(true);
            _held = wanted;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => timer.Dispose();

    private void Configure(uint value)
    {
        // A route that the timer has not reads back as it was (section 2.3.8, INT_ROUTE_CNF).
        bool routable = (routes >> (int)((value & RouteField) >> RouteShift) & 1) != 0;
        uint writable = routable ? Writable : Writable & ~RouteField;
        _configuration = (_configuration & ~writable) | (value & writable);
        if (Is32Bit)
        {
            (_comparator, _period) = ((uint)_comparator, (uint)_period);
        }
    }

    // In periodic mode a write sets the period, and the comparator only after VAL_SET was set.
    private void WriteComparator(uint value, int shift, bool last)
    {
        ulong lanes = (ulong)uint.MaxValue << shift;
        if (!IsPeriodic || (_configuration & SetValueBit) != 0)
        {
            _comparator = (_comparator & ~lanes) | ((ulong)value << shift);
        }

        if (IsPeriodic)
        {
            _period = (_period & ~lanes) | ((ulong)value << shift);
        }

        _configuration &= last ? ~SetValueBit : uint.MaxValue;
    }

    private void Arm(ulong passed)
    {
        if (!_due)
        {
            timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            return;
        }

        // Whole milliseconds, upwards: a timer that fires early would only be armed again.
        ulong left = _distance > passed ? _distance - passed : 0;
        ulong wait = Math.Min((left / TicksPerMillisecond) + (left % TicksPerMillisecond != 0 ? 1UL : 0), LongestWait);
        timer.Change(TimeSpan.FromMilliseconds(wait), Timeout.InfiniteTimeSpan);
    }
}
