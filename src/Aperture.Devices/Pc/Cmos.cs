namespace Aperture.Devices.Pc;

/// <summary>
/// The real-time clock and its 128 bytes of battery-backed RAM (Motorola MC146818 data sheet) at ports 0x70 (index; bit 7, the NMI mask, is ignored) and
/// 0x71 (data). The clock keeps UTC and follows the time provider plus whatever the guest set. Update-in-progress shows for the last 244 us of every second;
/// the update itself takes no time. The century is register 0x32.
/// </summary>
/// <remarks>
/// Update, alarm and periodic flags are worked out when register C is read, so a timer runs only while the guest enables one of their interrupts.
/// Timers have a millisecond's resolution: a faster periodic rate loses interrupts, as it does on a busy PC.
/// </remarks>
public sealed class Cmos : IAccessHandler, IByteRegisters, IResettable, IDisposable
{
    /// <summary>The index port; the data port follows.</summary>
    public const ushort Port = 0x70;

    /// <summary>Ports taken.</summary>
    public const ushort Length = 2;

    private const int RamSize = 128;
    private const long Second = TimeSpan.TicksPerSecond;
    private const int SecondsPerDay = 86400;

    // 244 us (data sheet, t_BUC).
    private const long UpdateLead = 244 * TimeSpan.TicksPerMicrosecond;

    private readonly Lock _gate = new();
    private readonly TimeProvider _clock;
    private readonly IInterruptLine _interrupt;
    private readonly ITimer _alarm;
    private readonly byte[] _ram = new byte[RamSize];

    private int _index;
    private RtcStatusA _a = RtcStatusA.PowerOn;
    private RtcStatusB _b = RtcStatusB.PowerOn;
    private byte _flags;

    // The clock's time minus the provider's, in ticks; while the clock is stopped only its fraction of a second means something.
    private long _offset;
    private long _secondsSeen;
    private long _periodsSeen;
    private bool _asserted;

    /// <summary>Makes the clock, set to the provider's UTC.</summary>
    /// <param name="clock">Time and timers.</param>
    /// <param name="interrupt">IRQ 8.</param>
    /// <param name="memory">What the memory-size bytes say.</param>
    /// <param name="boot">What the boot bytes say; null leaves them 0, for a machine without firmware.</param>
    public Cmos(TimeProvider clock, IInterruptLine interrupt, CmosMemorySize memory, CmosBoot? boot = null)
    {
        ArgumentNullException.ThrowIfNull(clock);
        _clock = clock;
        _interrupt = interrupt;
        memory.Store(_ram);
        boot?.Store(_ram);
        StoreChecksum();
        Resynchronize();
        _alarm = clock.CreateTimer(static state => ((Cmos)state!).OnAlarm(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Makes the memory-size bytes say <paramref name="memory"/>, because RAM moved; whatever the guest wrote there is gone. Any thread.</summary>
    public void SetMemorySize(CmosMemorySize memory)
    {
        lock (_gate)
        {
            memory.Store(_ram);
            StoreChecksum();
        }
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadBytes(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteBytes(this, Length, offset, size, value);

    /// <summary>A platform reset: interrupts off, flags clear. Time, RAM and the reset reason byte (0x0F) survive, as on a battery.</summary>
    public void Reset()
    {
        lock (_gate)
        {
            _index = 0;
            _flags = 0;
            _b = new RtcStatusB((byte)(_b.Value & ~RtcStatusB.ClearedByReset));
            Update();
        }
    }

    /// <summary>Stops the clock's timer.</summary>
    public void Dispose() => _alarm.Dispose();

    private bool Stopped => _b.IsSet || _a.DividerReset;

    // Clamped, so that no time a guest can set takes the calendar past its ends.
    private long Now => Math.Clamp(_clock.GetUtcNow().UtcTicks + _offset, 0, DateTime.MaxValue.Ticks);

    byte IByteRegisters.ReadByte(uint offset)
    {
        lock (_gate)
        {
            // The index port is write-only.
            return offset == 0 ? (byte)0xFF : ReadRegister(_index);
        }
    }

    void IByteRegisters.WriteByte(uint offset, byte value)
    {
        lock (_gate)
        {
            if (offset == 0)
            {
                _index = value & (RamSize - 1);
            }
            else
            {
                WriteRegister(_index, value);
            }
        }
    }

    private byte ReadRegister(int index) => index switch
    {
        RtcRegister.StatusA => (byte)(_a.Value | (UpdateInProgress() ? RtcStatusA.UpdateInProgress : 0)),
        RtcRegister.StatusB => _b.Value,
        RtcRegister.StatusC => ReadFlags(),
        RtcRegister.StatusD => 0x80, // the battery is good
        _ when RtcRegister.IsTime(index) && !Stopped => new RtcEncoding(_b).Encode(index, new DateTime(Now)),
        _ => _ram[index],
    };

    private void WriteRegister(int index, byte value)
    {
        switch (index)
        {
            case RtcRegister.StatusA:
                ChangeMode(new RtcStatusA((byte)(value & ~RtcStatusA.UpdateInProgress)), _b);
                break;
            case RtcRegister.StatusB:
                // SET also switches the update interrupt off (data sheet, UIE).
                int kept = (value & RtcStatusB.Set) != 0 ? value & ~RtcStatusB.UpdateInterrupt : value;
                ChangeMode(_a, new RtcStatusB((byte)kept));
                break;
            case RtcRegister.StatusC or RtcRegister.StatusD:
                break;
            case var time when RtcRegister.IsTime(time) && !Stopped:
                HoldTime();
                _ram[index] = value;
                SetTime(Now % Second);
                break;
            default:
                _ram[index] = value;
                break;
        }

        Update();
    }

    private void ChangeMode(RtcStatusA a, RtcStatusB b)
    {
        CollectFlags();
        bool wasStopped = Stopped;
        bool wasReset = _a.DividerReset;
        if (!wasStopped)
        {
            HoldTime();
        }

        (_a, _b) = (a, b);
        if (wasStopped && !Stopped)
        {
            // The first update comes half a second after the divider is let go; without a divider reset the phase has run on.
            SetTime(wasReset ? Second / 2 : Now % Second);
        }
        else
        {
            Resynchronize();
        }
    }

    // Spells the running time into the registers, where a stopped clock's time is read and written.
    private void HoldTime()
    {
        DateTime now = new(Now);
        RtcEncoding encoding = new(_b);
        for (int index = RtcRegister.Seconds; index <= RtcRegister.Year; index++)
        {
            if (RtcRegister.IsTime(index))
            {
                _ram[index] = encoding.Encode(index, now);
            }
        }

        _ram[RtcRegister.Century] = encoding.Encode(RtcRegister.Century, now);
    }

    private void SetTime(long fraction)
    {
        long time = new RtcEncoding(_b).Decode(_ram).Ticks + fraction;
        _offset = time - _clock.GetUtcNow().UtcTicks;
        Resynchronize();
    }

    private bool UpdateInProgress() => !Stopped && Now % Second >= Second - UpdateLead;

    private byte ReadFlags()
    {
        CollectFlags();
        byte flags = (byte)(_flags | (InterruptPending ? RtcFlags.Interrupt : 0));
        _flags = 0;
        Update();
        return flags;
    }

    private bool InterruptPending => (_flags & _b.Value & RtcStatusB.InterruptEnables) != 0;

    // Sets the flags of everything that happened since the last look.
    private void CollectFlags()
    {
        long periods = PeriodsNow();
        _flags |= periods != _periodsSeen ? RtcFlags.Periodic : (byte)0;
        _periodsSeen = periods;
        if (Stopped)
        {
            return;
        }

        long seconds = Now / Second;
        long passed = seconds - _secondsSeen;
        if (passed > 0)
        {
            int untilAlarm = SecondsUntilAlarm((int)(_secondsSeen % SecondsPerDay));
            bool rang = untilAlarm > 0 && passed >= untilAlarm;
            _flags |= (byte)(RtcFlags.Update | (rang ? RtcFlags.Alarm : 0));
        }

        // A host clock that was set back is followed without an event.
        _secondsSeen = seconds;
    }

    // After the time or a mode was set: what lies between the old and the new time did not happen.
    private void Resynchronize()
    {
        _secondsSeen = Now / Second;
        _periodsSeen = PeriodsNow();
    }

    private long PeriodsNow()
    {
        long period = _a.DividerReset ? 0 : _a.Period;
        return period == 0 ? 0 : Crystal() / period;
    }

    // Cycles of the 32.768 kHz crystal, which the guest's setting of the time does not disturb.
    private long Crystal()
    {
        long ticks = _clock.GetUtcNow().UtcTicks;
        return (ticks / Second * 32768) + (ticks % Second * 32768 / Second);
    }

    // Seconds from a second of the day to the next one the alarm registers name, 1 to 86400, or 0 for never.
    private int SecondsUntilAlarm(int from)
    {
        RtcEncoding encoding = new(_b);
        for (int at = from + 1; at <= from + SecondsPerDay;)
        {
            int time = at % SecondsPerDay;
            if (!AlarmNames(RtcRegister.HoursAlarm, encoding.Hour(time / 3600)))
            {
                at += 3600 - (time % 3600);
            }
            else if (!AlarmNames(RtcRegister.MinutesAlarm, encoding.Number(time / 60 % 60)))
            {
                at += 60 - (time % 60);
            }
            else if (!AlarmNames(RtcRegister.SecondsAlarm, encoding.Number(time % 60)))
            {
                at++;
            }
            else
            {
                return at - from;
            }
        }

        return 0;
    }

    // An alarm byte with both top bits set matches every value (data sheet, time, calendar and alarm locations).
    private bool AlarmNames(int register, byte value) => _ram[register] >= 0xC0 || _ram[register] == value;

    private void OnAlarm()
    {
        lock (_gate)
        {
            CollectFlags();
            Update();
        }
    }

    private void Update()
    {
        bool pending = InterruptPending;
        if (pending != _asserted)
        {
            _asserted = pending;
            _interrupt.Set(pending);
        }

        // While the line is up nothing more can happen until register C is read.
        _alarm.Change(pending ? Timeout.InfiniteTimeSpan : UntilInterrupt(), Timeout.InfiniteTimeSpan);
    }

    private TimeSpan UntilInterrupt()
    {
        long ticks = long.MaxValue;
        if (!Stopped && (_b.Update || _b.Alarm))
        {
            long now = Now;
            long toSecond = Second - (now % Second);
            int untilAlarm = _b.Alarm ? SecondsUntilAlarm((int)(now / Second % SecondsPerDay)) : 0;
            ticks = _b.Update ? toSecond : ticks;
            ticks = untilAlarm > 0 ? Math.Min(ticks, toSecond + ((untilAlarm - 1) * Second)) : ticks;
        }

        if (_b.Periodic && !_a.DividerReset && _a.Period is > 0 and long period)
        {
            long cycles = period - (Crystal() % period);
            ticks = Math.Min(ticks, ((cycles * Second) + 32767) / 32768);
        }

        // Whole milliseconds, upwards: a timer that fires early would only be armed again.
        const long Millisecond = TimeSpan.TicksPerMillisecond;
        return ticks == long.MaxValue ? Timeout.InfiniteTimeSpan : TimeSpan.FromTicks((ticks + Millisecond - 1) / Millisecond * Millisecond);
    }

    // Firmware checks the sum of 0x10-0x2D, high byte at 0x2E.
    private void StoreChecksum()
    {
        int sum = 0;
        foreach (byte value in _ram.AsSpan(0x10, 0x1E))
        {
            sum += value;
        }

        (_ram[0x2E], _ram[0x2F]) = ((byte)(sum >> 8), (byte)sum);
    }
}
