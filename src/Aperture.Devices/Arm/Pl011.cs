using Aperture.Devices.Serial;

namespace Aperture.Devices.Arm;

/// <summary>
/// A PrimeCell UART, PL011 r1p4 with FIFOs of 16 (Arm DDI 0183). Transmission takes no time, so the transmitter is always empty, and each byte sent raises the
/// transmit interrupt anew; the receive timeout elapses at once, so bytes that wait below the trigger level are reported as a timeout. What is written is sent
/// also while the UART is off, as early consoles take it for granted that firmware switched it on; it receives only once it is on.
/// </summary>
public sealed class Pl011 : Uart, IAccessHandler, IWordRegisters
{
    /// <summary>Bytes of its page.</summary>
    public const uint Length = PrimeCellId.PageSize;

    // What a byte carries beside itself in UARTDR and UARTRSR (3.3.1, 3.3.2).
    private const uint BreakInData = 1 << 10;
    private const uint OverrunInData = 1 << 11;
    private const int ErrorShift = 8;
    private const uint BaudMask = 0xFFFF;
    private const uint FractionMask = 0x3F;
    private static readonly PrimeCellId Id = new(0x011, 1);

    private Pl011Control _control;
    private Pl011LineControl _line;
    private Pl011FifoLevel _level;
    private uint _mask;
    private uint _raw;
    private uint _inputs;
    private uint _errors;
    private bool _overrun;
    private uint _lowPower;
    private uint _integerBaud;
    private uint _fractionalBaud;
    private uint _dma;

    /// <summary>Makes the UART in its reset state, connected to a terminal that is always ready.</summary>
    /// <param name="interrupt">The combined interrupt output (UARTINTR), level triggered.</param>
    /// <param name="backend">Where transmitted bytes go.</param>
    public Pl011(IInterruptLine interrupt, ISerialBackend backend)
        : base(interrupt, backend, hasRoom: false) => ResetState();

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, int size, out ulong value) => AccessLanes.ReadWords(this, Length, offset, size, out value);

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, int size, ulong value) => AccessLanes.WriteWords(this, Length, offset, size, value);

    private protected override bool HasRoom => _control.Receives && !_control.Loopback && !Fifo.IsFull;

    private protected override bool Interrupts => (_raw & _mask) != 0;

    uint IWordRegisters.ReadWord(ulong offset, uint lanes)
    {
        lock (Gate)
        {
            uint value = offset switch
            {
                Pl011Register.Data => (lanes & 0xFF) != 0 ? ReadData() : 0,
                Pl011Register.ReceiveStatus => _errors,
                Pl011Register.Flags => Flags(),
                Pl011Register.LowPower => _lowPower,
                Pl011Register.IntegerBaud => _integerBaud,
                Pl011Register.FractionalBaud => _fractionalBaud,
                Pl011Register.LineControl => _line.Value,
                Pl011Register.Control => _control.Value,
                Pl011Register.FifoLevel => _level.Value,
                Pl011Register.InterruptMask => _mask,
                Pl011Register.RawInterrupts => _raw,
                Pl011Register.MaskedInterrupts => _raw & _mask,
                Pl011Register.DmaControl => _dma,
                _ => Id.Read(offset),
            };
            Update();
            return value;
        }
    }

    void IWordRegisters.WriteWord(ulong offset, uint value, uint lanes)
    {
        bool transmit;
        lock (Gate)
        {
            transmit = WriteRegister((uint)offset, value, lanes);
            Update();
        }

        if (transmit)
        {
            Send((byte)value);
        }
    }

    // True when the byte goes out on the line. Registers take the low bytes that are written and clear the rest, as a peripheral bus without byte lanes does.
    private bool WriteRegister(uint offset, uint value, uint lanes)
    {
        switch (offset)
        {
            case Pl011Register.Data when (lanes & 0xFF) != 0:
                return Transmit((byte)value);
            case Pl011Register.ReceiveStatus:
                _errors = 0;
                break;
            case Pl011Register.LowPower:
                _lowPower = value & 0xFF;
                break;
            case Pl011Register.IntegerBaud:
                _integerBaud = value & BaudMask;
                break;
            case Pl011Register.FractionalBaud:
                _fractionalBaud = value & FractionMask;
                break;
            case Pl011Register.LineControl:
                WriteLineControl(new Pl011LineControl(value & 0xFF));
                break;
            case Pl011Register.Control:
                _control = new Pl011Control(value & Pl011Control.Implemented);
                SetInputs();
                break;
            case Pl011Register.FifoLevel:
                _level = new Pl011FifoLevel(value & 0x3F);
                break;
            case Pl011Register.InterruptMask:
                _mask = value & Pl011Interrupt.All;
                break;
            case Pl011Register.InterruptClear:
                _raw &= ~value;
                break;
            case Pl011Register.DmaControl:
                _dma = value & 7;
                break;
            default:
                break;
        }

        return false;
    }

    private bool Transmit(byte value)
    {
        _raw |= Pl011Interrupt.Transmit;
        if (!_control.Loopback)
        {
            return true;
        }

        Loop(value, isBreak: false);
        return false;
    }

    private void WriteLineControl(Pl011LineControl line)
    {
        Pl011LineControl before = _line;
        _line = line;
        if (line.HasFifos != before.HasFifos)
        {
            Fifo.Clear(line.HasFifos);
            _raw &= ~(Pl011Interrupt.Receive | Pl011Interrupt.ReceiveTimeout);
        }

        if (_control.Loopback && line.SendsBreak && !before.SendsBreak)
        {
            Loop(0, isBreak: true);
        }
    }

    private void Loop(byte value, bool isBreak)
    {
        if (Fifo.IsFull)
        {
            _overrun = true;
            _raw |= Pl011Interrupt.Overrun;
        }
        else
        {
            Accept(value, isBreak);
        }
    }

    private int Trigger => _line.HasFifos ? _level.Receive : 1;

    private protected override void Accept(byte value, bool isBreak)
    {
        Fifo.Push(value, isBreak);
        _raw |= Fifo.Count >= Trigger ? Pl011Interrupt.Receive : Pl011Interrupt.ReceiveTimeout;
        _raw |= isBreak ? Pl011Interrupt.Break : 0;
    }

    private uint ReadData()
    {
        // The error bits of a byte show with it, and stay in UARTRSR until that is written.
        uint carried = Fifo.TakeMark() ? BreakInData : 0;
        carried |= _overrun ? OverrunInData : 0;
        bool reached = Fifo.Count >= Trigger;
        uint value = Fifo.Pop() | carried;
        _errors = carried >> ErrorShift;
        _overrun = false;
        if (Fifo.Count < Trigger)
        {
            _raw &= ~Pl011Interrupt.Receive;
        }

        if (Fifo.Count == 0)
        {
            _raw &= ~Pl011Interrupt.ReceiveTimeout;
        }
        else if (reached && Fifo.Count < Trigger)
        {
            _raw |= Pl011Interrupt.ReceiveTimeout;
        }

        return value;
    }

    private uint Flags() => _inputs | Pl011Flag.TransmitEmpty | (Fifo.Count == 0 ? Pl011Flag.ReceiveEmpty : 0) | (Fifo.IsFull ? Pl011Flag.ReceiveFull : 0);

    private void SetInputs()
    {
        uint inputs = _control.Loopback ? _control.LoopedFlags : Connected;
        uint changed = inputs ^ _inputs;
        _inputs = inputs;
        _raw |= ((changed & Pl011Flag.ClearToSend) != 0 ? Pl011Interrupt.ClearToSend : 0)
            | ((changed & Pl011Flag.DataSetReady) != 0 ? Pl011Interrupt.DataSetReady : 0)
            | ((changed & Pl011Flag.CarrierDetect) != 0 ? Pl011Interrupt.CarrierDetect : 0)
            | ((changed & Pl011Flag.Ring) != 0 ? Pl011Interrupt.Ring : 0);
    }

    // A terminal that is always ready.
    private static uint Connected => Pl011Flag.ClearToSend | Pl011Flag.DataSetReady | Pl011Flag.CarrierDetect;

    private protected override void ResetState()
    {
        Fifo.Clear(fifoMode: false);
        _control = new Pl011Control(Pl011Control.ResetValue);
        _line = default;
        _level = new Pl011FifoLevel(Pl011FifoLevel.ResetValue);
        (_mask, _raw, _errors, _overrun) = (0, 0, 0, false);
        (_lowPower, _integerBaud, _fractionalBaud, _dma) = (0, 0, 0, 0);
        _inputs = Connected;
    }
}
