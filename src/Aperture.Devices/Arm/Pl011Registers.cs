namespace Aperture.Devices.Arm;

/// <summary>Register offsets of the PL011 (PrimeCell UART, DDI 0183, table 3-1).</summary>
internal static class Pl011Register
{
    public const uint Data = 0x000;
    public const uint ReceiveStatus = 0x004;
    public const uint Flags = 0x018;
    public const uint LowPower = 0x020;
    public const uint IntegerBaud = 0x024;
    public const uint FractionalBaud = 0x028;
    public const uint LineControl = 0x02C;
    public const uint Control = 0x030;
    public const uint FifoLevel = 0x034;
    public const uint InterruptMask = 0x038;
    public const uint RawInterrupts = 0x03C;
    public const uint MaskedInterrupts = 0x040;
    public const uint InterruptClear = 0x044;
    public const uint DmaControl = 0x048;
}

/// <summary>Bits of UARTFR (3.3.3).</summary>
internal static class Pl011Flag
{
    public const uint ClearToSend = 1 << 0;
    public const uint DataSetReady = 1 << 1;
    public const uint CarrierDetect = 1 << 2;
    public const uint ReceiveEmpty = 1 << 4;
    public const uint ReceiveFull = 1 << 6;
    public const uint TransmitEmpty = 1 << 7;
    public const uint Ring = 1 << 8;
}

/// <summary>Interrupt bits, the same in UARTIMSC, RIS, MIS and ICR (3.3.10 to 3.3.13).</summary>
internal static class Pl011Interrupt
{
    public const uint Ring = 1 << 0;
    public const uint ClearToSend = 1 << 1;
    public const uint CarrierDetect = 1 << 2;
    public const uint DataSetReady = 1 << 3;
    public const uint Receive = 1 << 4;
    public const uint Transmit = 1 << 5;
    public const uint ReceiveTimeout = 1 << 6;
    public const uint Break = 1 << 9;
    public const uint Overrun = 1 << 10;
    public const uint All = 0x7FF;
}

/// <summary>UARTCR (3.3.8).</summary>
internal readonly record struct Pl011Control(uint Value)
{
    /// <summary>After a reset: off, with transmitter and receiver ready.</summary>
    public const uint ResetValue = 0x300;

    public const uint Implemented = 0xFF87;

    public bool Receives => (Value & 1) != 0 && (Value & (1 << 9)) != 0;

    public bool Loopback => (Value & (1 << 7)) != 0;

    /// <summary>What the outputs show at the inputs in loopback: DTR at DSR, RTS at CTS, Out1 at DCD, Out2 at RI (3.3.8, LBE).</summary>
    public uint LoopedFlags =>
        ((Value & (1 << 11)) != 0 ? Pl011Flag.ClearToSend : 0) | ((Value & (1 << 10)) != 0 ? Pl011Flag.DataSetReady : 0)
        | ((Value & (1 << 12)) != 0 ? Pl011Flag.CarrierDetect : 0) | ((Value & (1 << 13)) != 0 ? Pl011Flag.Ring : 0);
}

/// <summary>UARTLCR_H (3.3.7).</summary>
internal readonly record struct Pl011LineControl(uint Value)
{
    public bool SendsBreak => (Value & 1) != 0;

    public bool HasFifos => (Value & (1 << 4)) != 0;
}

/// <summary>UARTIFLS (3.3.9).</summary>
internal readonly record struct Pl011FifoLevel(uint Value)
{
    public const uint ResetValue = 0x12;

    /// <summary>How many of sixteen bytes raise the receive interrupt: an eighth, a quarter, half, three quarters, seven eighths.</summary>
    public int Receive => (Value >> 3 & 7) switch { 0 => 2, 1 => 4, 2 => 8, 3 => 12, _ => 14 };
}
