namespace Aperture.Devices.Pc;

/// <summary>
/// A high precision event timer (IA-PC HPET Specification 1.0a): a 64-bit counter of 10 ns and three comparators, each one-shot or periodic, edge or
/// level. No legacy replacement, because the interval timer keeps IRQ 0, and no messages. Interrupts come with the resolution of the host's timers; the
/// counter is exact.
/// </summary>
public sealed class Hpet : IAccessHandler, IWordRegisters, IResettable, IDisposable
{
    /// <summary>Where PCs have it.</summary>
    public const ulong DefaultAddress = 0xFED0_0000;

    /// <summary>Bytes of registers.</summary>
    public const ulong Length = 1024;

    /// <summary>What the ACPI HPET table gives as event timer block id (section 3.2.4): vendor 0x8086, 64-bit counter, three comparators, revision 1.</summary>
    public const uint BlockId = 0x8086_2201;

    /// <summary>The counter's period in femtoseconds: 10 ns.</summary>
    public const uint Period = 10_000_000;

    /// <summary>
    /// The shortest period of a periodic timer without lost interrupts, in ticks: the most that the table's field holds, 655 us. The host's timers need 1 ms.
    /// </summary>
    public const ushort ShortestPeriod = 0xFFFF;

    /// <summary>The IOAPIC inputs that any timer may use when the board names no others: 20 to 23, which are shared with PCI.</summary>
    public const uint DefaultRoutes = 0x00F0_0000;

    private const int TimerCount = 3;
    private const ulong Frequency = 100_000_000;
    private const uint PeriodRegister = 0x004;
    private const uint Configuration = 0x010;
    private const uint InterruptStatus = 0x020;
    private const uint CounterRegister = 0x0F0;
    private const uint FirstTimer = 0x100;
    private const uint TimerStride = 0x20;
    private const uint EnableBit = 1;

    private readonly Lock _gate = new();
    private readonly TimeProvider _clock;
    private readonly HpetTimer[] _timers = new HpetTimer[TimerCount];
    private readonly uint _routes;
    private uint _configuration;
    private uint _status;

    // The counter is _held while stopped, and _held plus the time since _since while running.
    private ulong _held;
    private long _since;

    /// <summary>Makes the timers in their reset state.</summary>
    /// <param name="clock">Time and timers.</param>
    /// <param name="line">The device's own line to an IOAPIC input; asked once for each input in <paramref name="routes"/> and timer.</param>
    /// <param name="routes">A bit for each IOAPIC input that a timer may use.</param>
    public Hpet(TimeProvider clock, Func<int, IInterruptLine> line, uint routes = DefaultRoutes)
    {
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentNullException.ThrowIfNull(line);
        (_clock, _routes) = (clock, routes);
        for (int i = 0; i < TimerCount; i++)
        {
            IInterruptLine?[] lines = new IInterruptLine?[32];
            for (int input = 0; input < lines.Length; input++)
            {
                lines[input] = (routes >> input & 1) != 0 ? line(input) : null;
            }

            _timers[i] = new HpetTimer(
                routes, lines, clock.CreateTimer(static hpet => ((Hpet)hpet!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan));
        }
    }

    private bool IsRunning => (_configuration & EnableBit) != 0;

    private ulong Counter => IsRunning ? _held + Elapsed(_clock.GetTimestamp() - _since) : _held;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value)
    {
        // A 64-bit read of the counter must not fall apart at a carry.
        if (size == 8 && offset == CounterRegister)
        {
            lock (_gate)
            {
                value = Counter;
                return AccessResult.Ok;
            }
        }

        return AccessLanes.ReadWords(this, Length, offset, size, out value);
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteWords(this, Length, offset, size, value);

    /// <inheritdoc/>
    public void Reset()
    {
        lock (_gate)
        {
            (_configuration, _status, _held) = (0, 0, 0);
            foreach (HpetTimer timer in _timers)
            {
                timer.Reset();
            }
        }
    }

    /// <summary>Stops the host's timers.</summary>
    public void Dispose()
    {
        foreach (HpetTimer timer in _timers)
        {
            timer.Dispose();
        }
    }

    uint IWordRegisters.ReadWord(ulong offset, uint lanes)
    {
        lock (_gate)
        {
            return ReadWord((uint)offset);
        }
    }

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        lock (_gate)
        {
            uint register = (uint)offset;
            uint before = register == InterruptStatus ? 0 : ReadWord(register);
            WriteWord(register, (before & ~lanes) | (value & lanes));
        }
    }

    // Seconds and remainder apart, so that nothing overflows however long the machine runs.
    private ulong Elapsed(long timestamps)
    {
        ulong elapsed = (ulong)Math.Max(0, timestamps);
        ulong perSecond = (ulong)_clock.TimestampFrequency;
        return (elapsed / perSecond * Frequency) + (elapsed % perSecond * Frequency / perSecond);
    }

    private uint ReadWord(uint offset)
    {
        if (offset >= FirstTimer)
        {
            int index = (int)((offset - FirstTimer) / TimerStride);
            return index < TimerCount ? _timers[index].ReadWord((offset - FirstTimer) % TimerStride) : 0;
        }

        return offset switch
        {
            0 => BlockId,
            PeriodRegister => Period,
            Configuration => _configuration,
            InterruptStatus => _status,
            CounterRegister => (uint)Counter,
            CounterRegister + 4 => (uint)(Counter >> 32),
            _ => 0,
        };
    }

    private void WriteWord(uint offset, uint value)
    {
        switch (offset)
        {
            case Configuration:
                SetRunning((value & EnableBit) != 0);
                break;
            case InterruptStatus:
                Acknowledge(value);
                break;
            case CounterRegister:
                SetCounter((Counter & ~(ulong)uint.MaxValue) | value);
                break;
            case CounterRegister + 4:
                SetCounter((uint)Counter | (ulong)value << 32);
                break;
            case >= FirstTimer when (offset - FirstTimer) / TimerStride < TimerCount:
                int index = (int)((offset - FirstTimer) / TimerStride);
                _timers[index].WriteWord((offset - FirstTimer) % TimerStride, value);
                Schedule();
                Drive(index);
                break;
            default:
                break;
        }
    }

    private void SetRunning(bool run)
    {
        if (run == IsRunning)
        {
            return;
        }

        _held = Counter;
        _since = _clock.GetTimestamp();
        _configuration = run ? EnableBit : 0;
        Schedule();
        for (int i = 0; i < TimerCount; i++)
        {
            Drive(i);
        }
    }

    private void SetCounter(ulong value)
    {
        _held = value;
        _since = _clock.GetTimestamp();
        Schedule();
    }

    private void Acknowledge(uint bits)
    {
        _status &= ~bits;
        for (int i = 0; i < TimerCount; i++)
        {
            Drive(i);
        }
    }

    private void Schedule()
    {
        ulong now = Counter;
        foreach (HpetTimer timer in _timers)
        {
            timer.Schedule(now, IsRunning);
        }
    }

    private void OnTimer()
    {
        lock (_gate)
        {
            ulong now = Counter;
            for (int i = 0; i < TimerCount; i++)
            {
                if (IsRunning && _timers[i].TryExpire(now))
                {
                    Fire(i);
                }
            }

            foreach (HpetTimer timer in _timers)
            {
                timer.Rearm(now, IsRunning);
            }
        }
    }

    private void Fire(int index)
    {
        HpetTimer timer = _timers[index];
        if (timer.IsLevel)
        {
            _status |= 1u << index;
            Drive(index);
        }
        else if (timer.Line is { } line)
        {
            line.Set(true);
            line.Set(false);
        }
    }

    // The status bit of a level interrupt holds the line while counter and timer are on.
    private void Drive(int index)
    {
        HpetTimer timer = _timers[index];
        timer.Hold(IsRunning && timer.IsLevel && (_status >> index & 1) != 0);
    }
}
