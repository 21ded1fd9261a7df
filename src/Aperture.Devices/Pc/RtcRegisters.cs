namespace Aperture.Devices.Pc;

/// <summary>Register numbers of the MC146818 (data sheet, address map) and of the RAM bytes that PCs agree on.</summary>
internal static class RtcRegister
{
    public const int Seconds = 0x00;
    public const int SecondsAlarm = 0x01;
    public const int Minutes = 0x02;
    public const int MinutesAlarm = 0x03;
    public const int Hours = 0x04;
    public const int HoursAlarm = 0x05;
    public const int WeekDay = 0x06;
    public const int Day = 0x07;
    public const int Month = 0x08;
    public const int Year = 0x09;
    public const int StatusA = 0x0A;
    public const int StatusB = 0x0B;
    public const int StatusC = 0x0C;
    public const int StatusD = 0x0D;
    public const int Century = 0x32;

    /// <summary>True for the registers that hold the time itself, alarms not included.</summary>
    public static bool IsTime(int index) =>
        index is Seconds or Minutes or Hours or WeekDay or Day or Month or Year or Century;
}

/// <summary>Register A (MC146818 data sheet): UIP 7, divider 6:4, rate 3:0.</summary>
internal readonly record struct RtcStatusA(byte Value)
{
    public const byte UpdateInProgress = 0x80;

    /// <summary>32.768 kHz time base, 1024 Hz periodic rate: what PC firmware programs.</summary>
    public static RtcStatusA PowerOn => new(0x26);

    /// <summary>Divider held in reset: the clock stands still.</summary>
    public bool DividerReset => (Value & 0x60) == 0x60;

    /// <summary>The periodic interrupt's period in units of 1/32768 s, or 0 when it is off.</summary>
    public long Period => (Value & 0xF) switch
    {
        0 => 0,
        <= 2 and var rate => 1L << (rate + 6),
        var rate => 1L << (rate - 1),
    };
}

/// <summary>Register B (MC146818 data sheet).</summary>
internal readonly record struct RtcStatusB(byte Value)
{
    public const byte Set = 0x80;
    public const byte UpdateInterrupt = 0x10;

    /// <summary>Bits 6:4 line up with the flags of register C.</summary>
    public const byte InterruptEnables = 0x70;

    /// <summary>What the RESET pin clears: interrupt enables and the square wave.</summary>
    public const byte ClearedByReset = InterruptEnables | 0x08;

    public static RtcStatusB PowerOn => new(0x02);

    public bool IsSet => (Value & Set) != 0;

    public bool Periodic => (Value & RtcFlags.Periodic) != 0;

    public bool Alarm => (Value & RtcFlags.Alarm) != 0;

    public bool Update => (Value & RtcFlags.Update) != 0;

    public bool Binary => (Value & 0x04) != 0;

    public bool Hours24 => (Value & 0x02) != 0;
}

/// <summary>Register C (MC146818 data sheet): set by events, cleared by reading.</summary>
internal static class RtcFlags
{
    public const byte Interrupt = 0x80;
    public const byte Periodic = 0x40;
    public const byte Alarm = 0x20;
    public const byte Update = 0x10;
}
