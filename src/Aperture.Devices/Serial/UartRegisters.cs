namespace Aperture.Devices.Serial;

/// <summary>Interrupt enable register (16550 data sheet, IER).</summary>
internal readonly record struct InterruptEnable(byte Value)
{
    public const byte Implemented = 0x0F;

    public bool ReceivedData => (Value & 1) != 0;

    public bool TransmitterEmpty => (Value & 2) != 0;

    public bool LineStatus => (Value & 4) != 0;

    public bool ModemStatus => (Value & 8) != 0;
}

/// <summary>Interrupt identification register (16550 data sheet, IIR): the source in bits 3:0, highest priority first as listed.</summary>
internal static class InterruptId
{
    public const byte LineStatus = 0x06;
    public const byte ReceivedData = 0x04;
    public const byte CharacterTimeout = 0x0C;
    public const byte TransmitterEmpty = 0x02;
    public const byte ModemStatus = 0x00;
    public const byte None = 0x01;
    public const byte FifoEnabled = 0xC0;
}

/// <summary>FIFO control register (16550 data sheet, FCR).</summary>
internal readonly record struct FifoControl(byte Value)
{
    public bool Enable => (Value & 1) != 0;

    public bool ResetReceiver => (Value & 2) != 0;

    /// <summary>Bytes at which received data interrupts: 1, 4, 8 or 14.</summary>
    public int Trigger => (Value >> 6) switch { 0 => 1, 1 => 4, 2 => 8, _ => 14 };
}

/// <summary>Line control register (16550 data sheet, LCR). Word length, stop and parity bits are kept without effect.</summary>
internal readonly record struct LineControl(byte Value)
{
    public bool SetBreak => (Value & 0x40) != 0;

    public bool DivisorLatch => (Value & 0x80) != 0;
}

/// <summary>Modem control register (16550 data sheet, MCR).</summary>
internal readonly record struct ModemControl(byte Value)
{
    public const byte Implemented = 0x1F;

    public bool Out2 => (Value & 8) != 0;

    public bool Loop => (Value & 0x10) != 0;

    /// <summary>What the modem inputs (MSR 7:4) see in loopback: RTS at CTS, DTR at DSR, OUT1 at RI, OUT2 at DCD.</summary>
    public byte LoopedInputs => (byte)((Value & 2) << 3 | (Value & 1) << 5 | (Value & 4) << 4 | (Value & 8) << 4);
}

/// <summary>Line status register bits (16550 data sheet, LSR).</summary>
internal static class LineStatus
{
    public const byte DataReady = 0x01;
    public const byte Overrun = 0x02;
    public const byte Break = 0x10;
    public const byte HoldingEmpty = 0x20;
    public const byte TransmitterIdle = 0x40;
    public const byte ErrorInFifo = 0x80;
}

/// <summary>Modem status register bits (16550 data sheet, MSR).</summary>
internal static class ModemStatus
{
    public const byte Cts = 0x10;
    public const byte Dsr = 0x20;
    public const byte Ring = 0x40;
    public const byte Carrier = 0x80;

    /// <summary>A terminal that is always there and always ready.</summary>
    public const byte Connected = Cts | Dsr | Carrier;

    /// <summary>
    /// The delta bits (3:0) that a change of the inputs sets: any edge of CTS, DSR and carrier, but only the trailing edge of RI.
    /// </summary>
    public static byte DeltaOf(byte before, byte after)
    {
        int changed = (before ^ after) & (Cts | Dsr | Carrier);
        int ringEnded = before & ~after & Ring;
        return (byte)((changed | ringEnded) >> 4);
    }
}
