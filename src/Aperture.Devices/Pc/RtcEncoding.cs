namespace Aperture.Devices.Pc;

/// <summary>How the time registers spell numbers: BCD or binary, 12 or 24 hours (MC146818 data sheet, register B).</summary>
internal readonly record struct RtcEncoding(RtcStatusB Mode)
{
    private const byte Afternoon = 0x80;

    /// <summary>A number, 0 to 99, as a register holds it.</summary>
    public byte Number(int value) => (byte)(Mode.Binary ? value : value / 10 << 4 | value % 10);

    /// <summary>An hour, 0 to 23, as a register holds it.</summary>
    public byte Hour(int hour)
    {
        if (Mode.Hours24)
        {
            return Number(hour);
        }

        int clock = hour % 12 == 0 ? 12 : hour % 12;
        return (byte)(Number(clock) | (hour >= 12 ? Afternoon : 0));
    }

    /// <summary>A time register's content at <paramref name="time"/>.</summary>
    public byte Encode(int index, DateTime time) => index switch
    {
        RtcRegister.Seconds => Number(time.Second),
        RtcRegister.Minutes => Number(time.Minute),
        RtcRegister.Hours => Hour(time.Hour),
        RtcRegister.WeekDay => Number((int)time.DayOfWeek + 1),
        RtcRegister.Day => Number(time.Day),
        RtcRegister.Month => Number(time.Month),
        RtcRegister.Year => Number(time.Year % 100),
        _ => Number(time.Year / 100),
    };

    /// <summary>
    /// The time that the register file <paramref name="registers"/> spells. Guests may write anything: a field out of range counts as the nearest
    /// one in range. The day of the week follows from the date and is not looked at.
    /// </summary>
    public DateTime Decode(ReadOnlySpan<byte> registers)
    {
        int year = (Value(registers[RtcRegister.Century]) * 100) + Math.Min(Value(registers[RtcRegister.Year]), 99);
        year = Math.Clamp(year, DateTime.MinValue.Year, DateTime.MaxValue.Year);
        int month = Math.Clamp(Value(registers[RtcRegister.Month]), 1, 12);
        int day = Math.Clamp(Value(registers[RtcRegister.Day]), 1, DateTime.DaysInMonth(year, month));
        int minute = Math.Min(Value(registers[RtcRegister.Minutes]), 59);
        int second = Math.Min(Value(registers[RtcRegister.Seconds]), 59);
        return new DateTime(year, month, day, HourOf(registers[RtcRegister.Hours]), minute, second, DateTimeKind.Utc);
    }

    private int HourOf(byte register)
    {
        if (Mode.Hours24)
        {
            return Math.Min(Value(register), 23);
        }

        int clock = Math.Clamp(Value((byte)(register & ~Afternoon)), 1, 12) % 12;
        return clock + ((register & Afternoon) != 0 ? 12 : 0);
    }

    private int Value(byte register) => Mode.Binary ? register : ((register >> 4) * 10) + (register & 0xF);
}
